"""HTTP/1.1 for downloads: the rules are h11's, the connections asyncio's.

A general client costs five times as much for each file: it looks at all of its connections for each
request, and passes each piece through layers that nothing here needs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11

from dag.core.web import PROXY_LOGIN

if TYPE_CHECKING:
    import ssl

    from dag.io.sources.targets import Proxy, RequestTarget

_LARGEST_HEAD = 100 << 10
"""The bytes that the headers of an answer may have."""
_AHEAD = 1 << 18
"""The bytes that may have come and wait to be taken."""
_NEXT_ADDRESS = 0.25
"""Seconds after which a host's next address is tried beside one that does not answer.
https://www.rfc-editor.org/rfc/rfc8305#section-8"""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "dag"))


class NoConnection(Exception):  # becomes a SourceProblem
    """There is no connection; the cause says why."""


class BrokenConnection(Exception):  # becomes a SourceProblem
    """The connection broke; the cause says why. It is no OSError, as none of ours is meant."""


class Silence(Exception):  # becomes a SourceProblem
    """Nothing came for too long."""


class ProxyRefused(ConnectionRefusedError):
    """The proxy makes no way to the server; `status` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(
            f"the proxy refuses: HTTP {status}{f': {PROXY_LOGIN}' if status == 407 else ''}"
        )
        self.status = status


class Wire(asyncio.Protocol):
    """The bytes that come over a connection, until somebody takes them."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._has_ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Return whether nothing has come that nobody asked for, not even the end."""
        return not (self._has_ended or self._pieces)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; after TLS has begun, begin again."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # what TCP and TLS have
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what came."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _AHEAD and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note that nothing more comes."""
        self._has_ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, and why."""
        self._has_ended = True
        self._error = self._error or exc
        self._wake()

    async def read(self, stall: float | None) -> bytes:
        """Return the next bytes; none at the end.

        Raises:
            Silence: none came in `stall` seconds.
            BrokenConnection: it broke.

        """
        if not self._pieces and not self._has_ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(stall):
                    await self._waiter
            except TimeoutError:
                raise Silence from None
            finally:
                self._waiter = None
        if not self._pieces:
            if self._error is not None:
                raise BrokenConnection from self._error
            return b""
        data = self._pieces.popleft()
        self._size -= len(data)
        if self._paused and self._size <= _AHEAD:
            self._paused = False
            self.transport.resume_reading()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass(frozen=True, slots=True)
class Head:
    """The status and the headers of an answer."""

    status: int
    headers: dict[str, str]
    """Names in lower case; of several with one name, the first."""

    @property
    def redirect(self) -> str | None:
        """Return where the answer sends whoever asks; None if it does not."""
        location = self.headers.get("location") if self.status in _REDIRECTS else None
        return None if location is None else _as_meant(location)


def _as_meant(location: str) -> str:
    """Return a URI of a header whose letters beyond ASCII were sent as they are: as UTF-8, or escaped.

    Servers ought to escape them, and not all do.
    """
    sent = location.encode("latin-1")
    try:
        return sent.decode()
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in sent)


class HttpConnection:
    """A connection to a host, or to the proxy before it, for one request after the other."""

    def __init__(self, wire: Wire, proxy: Proxy | None) -> None:
        """Take what is connected; a `proxy` is told in each request whom it is for."""
        self._wire = wire
        self._proxy = proxy
        self._dialogue = _Dialogue(wire)
        self.is_new = True
        """Whether it has never brought an answer: another one may have been closed meanwhile."""

    @classmethod
    async def open(
        cls,
        target: RequestTarget,
        proxy: Proxy | None,
        tls: ssl.SSLContext | None,
        *,
        patience: float,
    ) -> HttpConnection:
        """Connect; `tls` is how a server with https is verified, `patience` is in seconds.

        Raises:
            NoConnection: that cannot be; caused by a TimeoutError if it took too long.

        """
        try:
            async with asyncio.timeout(patience):
                return await cls._open(target, proxy, tls)
        except (OSError, ValueError, BrokenConnection, h11.ProtocolError) as error:
            raise NoConnection from error

    @classmethod
    async def _open(
        cls, target: RequestTarget, proxy: Proxy | None, tls: ssl.SSLContext | None
    ) -> HttpConnection:
        place = proxy or target
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(
            Wire,
            place.host,
            place.port,
            ssl=tls if place.is_secure else None,
            happy_eyeballs_delay=_NEXT_ADDRESS,
        )
        if proxy is None or not target.is_secure:
            return cls(wire, proxy)
        try:
            await _tunnel(wire, target, proxy)
            assert tls is not None  # noqa: S101  # as the target is secure
            transport = await loop.start_tls(wire.transport, wire, tls, server_hostname=target.host)
            assert transport is not None  # noqa: S101  # only a closed one has none
            wire.connection_made(transport)
        except BaseException:
            wire.transport.abort()
            raise
        return cls(wire, None)

    async def ask(self, target: RequestTarget, headers: dict[str, str], *, stall: float) -> Head:
        """Send a request, and return the head of the answer.

        Raises:
            Silence: none came in `stall` seconds.
            BrokenConnection: it broke.
            h11.RemoteProtocolError: this is no HTTP, or the server broke off.

        """
        words = [("Host", target.authority), *_HEADERS, *headers.items()]
        if target.login:
            words.append(("Authorization", target.login))
        path = target.path
        if self._proxy is not None:
            path = f"http://{target.authority}{path}"
            if self._proxy.login:
                words.append(("Proxy-Authorization", self._proxy.login))
        return await self._dialogue.ask("GET", path, words, stall=stall)

    async def read(self, *, stall: float) -> bytes | bytearray | None:
        """Return the next bytes of the answer's body; None at its end.

        Raises:
            Silence: no byte came in `stall` seconds.
            BrokenConnection: it broke.
            h11.RemoteProtocolError: this is no HTTP, or the server broke off.

        """
        event = await self._dialogue.next_event(stall)
        if isinstance(event, h11.Data):
            return event.data
        self.is_new = False
        return None

    def make_ready(self) -> bool:
        """Return whether another request can be sent, once the body has been read."""
        rules = self._dialogue.rules
        if rules.our_state is not h11.DONE or rules.their_state is not h11.DONE:
            return False
        # Bytes behind the body belong to no request: they must not be taken for the next answer.
        if rules.trailing_data[0]:
            return False
        rules.start_next_cycle()
        return self.is_idle

    @property
    def is_idle(self) -> bool:
        """Return whether the server has said nothing since its last answer."""
        return self._wire.is_idle

    def close(self) -> None:
        """Let go of the connection, whatever may still come."""
        self._wire.transport.abort()


async def _tunnel(wire: Wire, target: RequestTarget, proxy: Proxy) -> None:
    place = f"{target.host_in_uri}:{target.port}"
    headers = [("Host", place)]
    if proxy.login:
        headers.append(("Proxy-Authorization", proxy.login))
    head = await _Dialogue(wire).ask("CONNECT", place, headers, stall=None)
    if not 200 <= head.status < 300:
        raise ProxyRefused(head.status)


class _Dialogue:
    """Requests and answers on a wire, by the rules of h11."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.rules = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)

    async def ask(
        self, method: str, path: str, headers: list[tuple[str, str]], *, stall: float | None
    ) -> Head:
        request = self.rules.send(h11.Request(method=method, target=path, headers=headers))
        end = self.rules.send(h11.EndOfMessage())
        self._wire.transport.write((request or b"") + (end or b""))
        while not isinstance(event := await self.next_event(stall), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the server gave no answer")
        found: dict[str, str] = {}
        for name, value in event.headers:
            found.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        return Head(event.status_code, found)

    async def next_event(self, stall: float | None) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self.rules.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]  # mypy does not narrow it
            data = await self._wire.read(stall)
            if not data and self.rules.their_state is h11.SEND_RESPONSE:
                raise h11.RemoteProtocolError("the server disconnected without an answer")
            self.rules.receive_data(data)
