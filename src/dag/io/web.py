"""The parts that all our HTTP clients have: no cookies, checked proxies, and trusted certificates."""

from __future__ import annotations

import os
import re
from http.cookiejar import CookieJar
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

from dag.errors import InfrastructureError

if TYPE_CHECKING:
    import ssl

    import httpx2

    from dag.core.limits import Limit

_CA_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_NO_URL = re.compile(r"[\x00-\x20\x7f\\]")
_OF_THE_WIRE = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""Headers that are about how a body came, and not about what it is."""


class NoCookies(CookieJar):
    """A jar that takes none: we have no session with anybody, and an odd cookie is no failure."""

    def extract_cookies(self, *_: object) -> None:
        """Read nothing."""


def public_url(url: httpx2.URL) -> str:
    """Return a URL without what may be secret: its user, and its query, which may be signed."""
    return str(url.copy_with(query=None, fragment=None, username=None, password=None))


def with_body(response: httpx2.Response, data: bytes) -> httpx2.Response:
    """Return an answer that has been read: its status and headers, with this body."""
    import httpx2  # not for those who only ask for proxies

    headers = [pair for pair in response.headers.raw if pair[0].lower() not in _OF_THE_WIRE]
    return httpx2.Response(
        response.status_code, headers=headers, content=data, request=response.request
    )


async def read_answer(response: httpx2.Response, limit: Limit) -> httpx2.Response:
    """Read an answer of a streamed request and close it; return an answer that has the body.

    Raises:
        TooLarge: the body has more bytes than the limit.
        httpx2.HTTPError: the connection broke, or the body is not encoded as its headers say.

    """
    data = bytearray()
    try:
        async for piece in response.aiter_bytes():
            data += piece
            limit.check(len(data), public_url(response.request.url))
    finally:
        await response.aclose()
    return with_body(response, bytes(data))


def check_proxies() -> None:
    """Refuse proxies of the environment that cannot be used.

    Raises:
        InfrastructureError: one cannot; its variable is named, its value not, which may hold a
            password.

    """
    proxies = getproxies()
    if "*" in (one.strip() for one in proxies.get("no", "").split(",")):
        return
    for kind in ("http", "https", "all"):
        if value := proxies.get(kind):
            check_proxy(proxy_variable(kind), value)


def tls_context() -> ssl.SSLContext:
    """Return how servers are verified, as the system and the environment have it.

    Raises:
        InfrastructureError: the environment names files that cannot be read.

    """
    import httpx2

    try:
        return httpx2.create_ssl_context()
    except OSError as error:  # an SSLError is one
        named = [f"${name} ({os.environ[name]})" for name in _CA_VARIABLES if os.environ.get(name)]
        if not named:
            raise
        why = getattr(error, "reason", None) or error.strerror or error
        raise InfrastructureError(
            f"TLS cannot be set up: {why}: see {' and '.join(named)}",
            hint="CA certificates are a file in PEM; mend what is named there, or unset the variable",
        ) from None


def proxy_fault(value: str) -> str | None:
    """Return why this cannot be a proxy, as the words after its name; None if it can be."""
    try:
        proxy = urlsplit(value if "://" in value else f"http://{value}")
        port = proxy.port
    except ValueError:
        return "is no URL"
    if _NO_URL.search(value):
        return "is no URL"
    if proxy.scheme not in _PROXY_SCHEMES:
        return f"names a proxy of the kind {proxy.scheme}, which nothing here speaks"
    if not proxy.hostname or port == 0:
        return "names no host, or no port that can be"
    if proxy.scheme.startswith("socks") and find_spec("socksio") is None:
        return "names a SOCKS proxy, which needs the Python package socksio"
    return None


def check_proxy(variable: str, value: str) -> None:
    """Refuse a proxy that cannot be one.

    Raises:
        InfrastructureError: it cannot; the variable is named, its value not.

    """
    if why := proxy_fault(value):
        raise InfrastructureError(
            f"${variable} {why}", hint="http://HOST:PORT is a proxy; or unset the variable"
        )


def proxy_variable(kind: str) -> str:
    """Return the variable that `kind` of proxy is from; lower case wins where both are set."""
    lower = f"{kind}_proxy"
    return lower if os.environ.get(lower) else lower.upper()
