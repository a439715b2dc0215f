"""The parts that all our HTTP clients have: no cookies, limited answers, trusted certificates."""

from __future__ import annotations

import os
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING

from dag.errors import InfrastructureError

if TYPE_CHECKING:
    import ssl

    import httpx2

    from dag.core.limits import Limit

OUT_OF_DATE = (  # of certificates
    "is the clock of this machine right? Else whoever runs the server must renew its certificate"
)
ANOTHER_SERVER = "another server answers there: is the name right, and what is in between?"
# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/#error-codes
_CERTIFICATE_HINTS = {
    **dict.fromkeys((9, 10), OUT_OF_DATE),
    **dict.fromkeys((62, 64), ANOTHER_SERVER),
}
_CA_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
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


def certificate_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """Return why a certificate was not taken, if that is what an error of a connection comes from."""
    import ssl

    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLCertVerificationError):
        seen = seen.__cause__ or seen.__context__
    return seen


def certificate_hint(error: ssl.SSLCertVerificationError, otherwise: str) -> str:
    """Return what to do about a certificate; `otherwise` is for one whose CA is not trusted."""
    return _CERTIFICATE_HINTS.get(error.verify_code, otherwise)


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
            if len(data) > limit.most:
                limit.check(len(data), public_url(response.request.url))
    finally:
        await response.aclose()
    return with_body(response, bytes(data))


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
