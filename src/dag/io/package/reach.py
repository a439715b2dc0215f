"""HTTP to servers that definitions name, which are strangers: only to where it may go.

A definition could name an address inside of a network, such as that of a cloud's metadata, and have
whoever builds it ask there. So nothing is asked but public addresses, and hosts that the user named.
A name is resolved once for each connection, and the connection goes to the address that was checked:
a name that means something else a moment later, or a redirect, leads nowhere else.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from string import punctuation
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import SplitResult, quote, unquote, urljoin
from urllib.request import getproxies, proxy_bypass

import httpcore2

from dag.core.addresses import is_public
from dag.core.web import (
    MAX_REDIRECTS,
    PROXY_LOGIN,
    ascii_host,
    check_uri,
    may_heal,
    parse_retry_after,
    redact,
)
from dag.errors import UsageError
from dag.io.package.patience import BrokenOff, Forbidden, ServerPatience, Unreachable
from dag.io.proxies import check_proxies
from dag.io.retries import MayHeal, retry
from dag.io.web import tls_context

if TYPE_CHECKING:
    from dag.core.limits import Limit

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FAULTS = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError, OSError)
_BREAKS = (httpcore2.ReadError, httpcore2.WriteError, httpcore2.RemoteProtocolError)
Resolve = Callable[[str, int], list[str]]
"""Host and port → its addresses."""
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes


def _system_addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Reach:
    """The servers that may be asked."""

    def __init__(self, named: Iterable[str] = (), resolve: Resolve = _system_addresses) -> None:
        """Take the hosts that the user named, which may be anywhere."""
        self._named = frozenset(named)
        self._resolve = resolve

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, to which connections may be made.

        Raises:
            Unreachable: it has none, or is one that only the user may name.

        """
        try:
            found = self._resolve(host.rstrip("."), port)
        except (OSError, UnicodeError) as error:
            why = _ERRNO.sub("", str(error))
            raise Unreachable(f"{host} has no address: {why}") from error
        if host.rstrip(".").lower() in self._named:
            return found
        if closed := [address for address in found if not is_public(address)]:
            where = "" if closed[0] == host else f" ({closed[0]})"
            raise Forbidden(
                f"{host}{where} is not on the internet, and only -r may name such a host"
            )
        if not found:
            raise Unreachable(f"{host} has no address")
        return found

    def check_behind_proxy(self, host: str, port: int) -> None:
        """Refuse a host that a proxy shall ask, if its name alone, or this machine, tells enough.

        Raises:
            Unreachable: it is one that only the user may name.

        """
        try:
            self._resolve(host.rstrip("."), port)
        except (OSError, UnicodeError):
            return  # the proxy may know it
        self.addresses(host, port)


class _Backend(httpcore2.SyncBackend):
    """Connects to the addresses that were checked."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        failed: Exception | None = None
        for address in self._reach.addresses(host, port):
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore2.ConnectError(f"{host} has no address")


class _Unwell(MayHeal):
    """An answer after which another one may come."""

    heals = True

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.retry_after = parse_retry_after(headers.get("retry-after"), time.time())


class Fetcher:
    """Asks servers for whole files, within limits."""

    def __init__(self, reach: Reach, patience: ServerPatience | None = None) -> None:
        """Take where it may go, and how long it waits.

        Raises:
            InfrastructureError: the environment names a proxy that cannot be one.

        """
        check_proxies()
        self._reach = reach
        self._patience = patience or ServerPatience()
        self._tls: ssl.SSLContext | None = None

    def get(self, url: str, limit: Limit, headers: dict[str, str] | None = None) -> ServerAnswer:
        """Return what the server answers; raises as `save`."""
        body = io.BytesIO()
        status, found = self.save(url, body, limit, headers)
        return ServerAnswer(status, found, body.getvalue())

    def save(
        self, url: str, file: BinaryIO, limit: Limit, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str]]:
        """Write what the server answers to a file, redirects followed; return the status and the headers.

        A server that says that it cannot answer just now is asked again, a few times, and so is one
        that breaks off.

        Raises:
            Unreachable: it may not be asked, or did not answer as HTTP has it.
            TooLarge: the answer has more bytes than the limit.
            InfrastructureError: the CA certificates that the environment names cannot be read.

        """
        until = time.monotonic() + self._patience.in_all

        def attempt() -> tuple[int, dict[str, str]]:
            file.seek(0)
            file.truncate()
            with contextlib.ExitStack() as stack:
                response, found = self._follow(stack, url, headers or {}, until)
                for piece in _pieces(response, until):
                    file.write(piece)
                    limit.check(file.tell(), redact(url))
            if may_heal(response.status):
                raise _Unwell(response.status, found)
            return response.status, found

        try:
            return retry(attempt, self._patience.retries)
        except _Unwell as unwell:
            return unwell.status, unwell.headers
        except Unreachable as error:
            if error.attempts == 1:
                raise
            raise Unreachable(f"{error} ({error.attempts} times)") from error

    def _follow(
        self, stack: contextlib.ExitStack, url: str, headers: dict[str, str], until: float
    ) -> tuple[httpcore2.Response, dict[str, str]]:
        """Ask, and ask where it is redirected to; return the answer and its headers."""
        for _ in range(MAX_REDIRECTS + 1):
            with _as_unreachable():
                response = self._ask(stack, url, headers)
            found = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            if response.status not in _REDIRECTS or "location" not in found:
                return response, found
            stack.close()
            url = joined(url, found["location"])
            if time.monotonic() > until:
                break
        raise Unreachable("it redirects without an end")

    def _ask(
        self, stack: contextlib.ExitStack, url: str, headers: dict[str, str]
    ) -> httpcore2.Response:
        request = request_for(url, headers)
        pool = stack.enter_context(self._pool(request))
        patience = self._patience
        return stack.enter_context(
            pool.stream(
                "GET",
                request.url,
                headers=request.headers,
                extensions={
                    "timeout": {
                        "connect": patience.connect,
                        "read": patience.silence,
                        "write": patience.silence,
                        "pool": patience.silence,
                    }
                },
            )
        )

    def _pool(self, request: Request) -> httpcore2.ConnectionPool:
        if request.scheme == "https" and self._tls is None:
            self._tls = tls_context()
        proxies = getproxies()
        proxy = proxies.get(request.scheme) or proxies.get("all")
        if not proxy or proxy_bypass(request.host):
            return httpcore2.ConnectionPool(
                ssl_context=self._tls, network_backend=_Backend(self._reach)
            )
        self._reach.check_behind_proxy(request.host, request.port)
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        return httpcore2.ConnectionPool(
            ssl_context=self._tls, proxy=httpcore2.Proxy(_without_login(proxy), _login_of(proxy))
        )


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, as it goes over the wire."""

    scheme: str
    host: str
    """In ASCII, as the names of hosts are resolved."""
    port: int
    url: httpcore2.URL
    headers: list[tuple[bytes, bytes]]


def request_for(url: str, headers: dict[str, str]) -> Request:
    """Return the request for a URL that a stranger may have written.

    Raises:
        Unreachable: it is none that may be asked for.

    """
    try:
        parts = check_uri(url)
        host = ascii_host(parts.hostname or "")
    except UsageError as error:
        raise Unreachable(error.message) from error
    authority = f"[{host}]" if ":" in host else host
    sent = {
        "Host": authority if parts.port is None else f"{authority}:{parts.port}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "dag",
        **_login(parts),
        **headers,
    }
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Request(
        scheme=parts.scheme,
        host=host,
        port=parts.port or {"http": 80, "https": 443}[parts.scheme],
        url=httpcore2.URL(
            scheme=parts.scheme.encode(),
            host=host.encode(),
            port=parts.port,
            target=quote(target, safe=punctuation).encode(),
        ),
        headers=[(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
    )


def joined(url: str, location: str) -> str:
    """Return the URL that an answer redirects to.

    Raises:
        Unreachable: it is none.

    """
    try:
        return urljoin(url, location)
    except ValueError:
        raise Unreachable("it redirects to what is no URL") from None


@contextlib.contextmanager
def _as_unreachable() -> Iterator[None]:
    try:
        yield
    except (httpcore2.TimeoutException, TimeoutError) as error:
        raise Unreachable("it did not answer in time") from error
    except _FAULTS as error:
        words = _ERRNO.sub("", str(error)).rstrip(".") or type(error).__name__
        if words.startswith("407 "):
            words += f": {PROXY_LOGIN}"
        kind = BrokenOff if isinstance(error, _BREAKS) else Unreachable
        raise kind(words[0].lower() + words[1:]) from error


def _pieces(response: httpcore2.Response, until: float) -> Iterator[bytes]:
    pieces = iter(response.iter_stream())
    while True:
        with _as_unreachable():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece
        if time.monotonic() > until:
            raise Unreachable("it did not end in time")


def _login(parts: SplitResult) -> dict[str, str]:
    """Return the header that logs in with the user and the password of a URL, or of `$HTTP_AUTH`.

    The variable is apko's, which reads it as this does: `basic:HOST:USER:PASSWORD`. Of a host with a
    port it cannot speak. https://github.com/chainguard-dev/apko/blob/v1.2.21/pkg/apk/auth/auth.go
    """
    if parts.username is not None:
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    else:
        said = os.environ.get("HTTP_AUTH", "").split(":")
        if len(said) != 4 or said[:2] != ["basic", parts.netloc]:
            return {}
        words = ":".join(said[2:])
    return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}


def _without_login(proxy: str) -> str:
    scheme, _, rest = proxy.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _login_of(proxy: str) -> tuple[bytes, bytes] | None:
    login, at, _ = proxy.partition("://")[2].rpartition("@")
    if not at:
        return None
    user, _, password = login.partition(":")
    return unquote(user).encode(), unquote(password).encode()
