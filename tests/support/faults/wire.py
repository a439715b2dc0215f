"""One side of an exchange: h11 reads what comes in, and answers are written byte by byte.

Answers are written without h11, because h11 refuses to write what no server should: a length that
is wrong, or a body that ends early.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

import h11

Headers = tuple[tuple[str, str], ...]
Framing = Literal["length", "chunked", "close"]

READ = 64 * 1024
"""How many bytes are asked for at once; what has come is passed on without waiting for more."""
HEAD_LIMIT = 1024 * 1024
"""The largest head in bytes. Real clusters send certificates and tokens that exceed h11's 16 KiB."""


def header(headers: Headers, name: str) -> str | None:
    """Return the first header called `name`, in upper or lower case."""
    return next((value for key, value in headers if key.lower() == name.lower()), None)


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """The head of a request, as a client sent it."""

    method: str
    target: str
    """The path with its query."""
    headers: Headers

    def header(self, name: str) -> str | None:
        """Return the first header called `name`, in upper or lower case."""
        return header(self.headers, name)


Body = bytes | Callable[[], Iterable[bytes]] | Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer for the client; its `headers` may say anything about the body."""

    status: int
    headers: Headers = ()
    body: Body = b""
    framing: Framing = field(default="length")
    """How the end of the body is marked; "length" leaves that to a Content-Length header."""

    @staticmethod
    def of(
        status: int,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        """Return an honest answer, unless `headers` has a Content-Length of its own."""
        pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
        # RFC 9110, section 8.6: neither of these may have a Content-Length.
        if header(pairs, "content-length") is None and status not in (204, 304):
            pairs = (*pairs, ("Content-Length", str(len(body))))
        return Answer(status=status, headers=pairs, body=body)

    def head(self) -> bytes:
        """Return the status line and the headers as bytes."""
        with contextlib.suppress(ValueError):
            phrase = HTTPStatus(self.status).phrase
            return self._head(phrase)
        return self._head("Unknown")

    def _head(self, phrase: str) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body in the pieces in which it comes."""
        if isinstance(self.body, bytes):
            if self.body:
                yield self.body
            return
        source = self.body()
        if isinstance(source, AsyncIterator):
            async for piece in source:
                yield piece
            return
        for piece in source:
            yield piece

    def frame(self, piece: bytes) -> bytes:
        """Return the bytes by which `piece` is sent."""
        if self.framing == "chunked":
            return b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
        return piece

    def end(self) -> bytes:
        """Return the bytes that mark the end of the body."""
        return b"0\r\n\r\n" if self.framing == "chunked" else b""


class Peer:
    """A connection with an h11 parser for what comes in."""

    def __init__(
        self,
        role: type[h11.CLIENT | h11.SERVER],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._role = role
        self._reader = reader
        self._writer = writer
        self.parser = h11.Connection(role, max_incomplete_event_size=HEAD_LIMIT)

    def restart(self) -> None:
        """Prepare for the next exchange; bytes that came early are kept."""
        early, ended = self.parser.trailing_data
        self.parser = h11.Connection(self._role, max_incomplete_event_size=HEAD_LIMIT)
        if early:
            self.parser.receive_data(early)
        if ended:
            self.parser.receive_data(b"")

    @property
    def stale(self) -> bool:
        """Whether the other side has closed the connection."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def event(self) -> h11.Event:
        """Return the next event of the exchange.

        Raises h11.RemoteProtocolError if the other side breaks the protocol or ends the exchange
        too early.
        """
        while (event := self.parser.next_event()) is h11.NEED_DATA:
            if self.parser.they_are_waiting_for_100_continue:
                await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.parser.receive_data(await self._reader.read(READ))
        if isinstance(event, type):  # PAUSED: the exchange is over, and the caller asks on
            raise h11.RemoteProtocolError("the exchange is over")
        return event

    async def gone(self) -> None:
        """Return when the other side has closed the connection."""
        while data := await self._reader.read(READ):
            self.parser.receive_data(data)
        self.parser.receive_data(b"")

    async def write(self, data: bytes) -> None:
        """Send `data`, and wait if the other side is slow."""
        if data:
            await asyncio.sleep(0)  # a fast reader of an endless body must not stop the others
            self._writer.write(data)
            await self._writer.drain()

    async def close(self) -> None:
        """Close the connection in good order, after everything has been sent."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def reset(self) -> None:
        """Reset the connection (RST), and drop what was not sent yet."""
        transport = self._writer.transport
        # If it is closed already, asyncio's TLS transport has no attributes to ask for either.
        with contextlib.suppress(OSError, AttributeError):
            if connection := transport.get_extra_info("socket"):
                # With a linger time of zero a socket resets when it is closed (socket(7)).
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
