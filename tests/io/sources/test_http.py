"""The client's rules for whatever bytes come: an answer, or one of the errors that it names."""

from __future__ import annotations

import asyncio

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dag.io.sources.http import BrokenConnection, Head, HttpConnection, Silence, Wire
from dag.io.sources.logins import Logins
from dag.io.sources.targets import target_of

TARGET = target_of("http://h/a", Logins())


class Memory(asyncio.Transport):
    """A transport that keeps what is sent, and whether more may come."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


def connected() -> tuple[Wire, Memory, HttpConnection]:
    wire, memory = Wire(), Memory()
    wire.connection_made(memory)
    return wire, memory, HttpConnection(wire, None)


async def exchange(pieces: list[bytes]) -> tuple[Head, bytes]:
    wire, _, connection = connected()
    for piece in pieces:
        wire.data_received(piece)
    wire.eof_received()
    head = await connection.ask(TARGET, {}, stall=1)
    body = b""
    while (data := await connection.read(stall=1)) is not None:
        body += data
    return head, body


_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 206 \r\n",
        b"HTTP/1.1 100 x\r\n\r\n",
        b"HTTP/1.1 301\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Location: \xff\r\n",
        b"\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"abc",
    ]
)


@given(st.lists(st.one_of(_LINES, st.binary(max_size=20)), max_size=12))
@example([b"HTTP/1.1 200 OK\r\n", b"Content-Length: 3\r\n", b"\r\n", b"abc"])
def test_whatever_comes_is_an_answer_or_an_error_with_a_name(pieces: list[bytes]) -> None:
    try:
        head, body = asyncio.run(exchange([piece for piece in pieces if piece]))
    except (h11.RemoteProtocolError, BrokenConnection):
        return
    assert 200 <= head.status < 1000
    assert body in b"".join(pieces) or "transfer-encoding" in head.headers


async def test_no_more_comes_than_somebody_takes() -> None:
    wire, memory, _ = connected()
    for _ in range(3):
        wire.data_received(bytes(200_000))
    assert not memory.reads
    taken = [len(await wire.read(1)) for _ in range(2)]
    assert (taken, memory.reads) == ([200_000] * 2, True)


async def test_silence_and_a_break_are_told_apart() -> None:
    wire, _, _ = connected()
    with pytest.raises(Silence):
        await wire.read(0.01)
    wire.data_received(b"abc")
    wire.connection_lost(ConnectionResetError())
    assert await wire.read(1) == b"abc"
    with pytest.raises(BrokenConnection):
        await wire.read(1)


async def test_a_request_says_all_that_a_server_may_want_to_know() -> None:
    wire, memory, connection = connected()
    wire.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    await connection.ask(TARGET, {"Range": "bytes=5-"}, stall=1)
    assert memory.sent.decode().split("\r\n") == [
        "GET /a HTTP/1.1",
        "Host: h",
        "Accept: */*",
        "Accept-Encoding: identity",
        "User-Agent: dag",
        "Range: bytes=5-",
        "",
        "",
    ]
    assert await connection.read(stall=1) is None
    assert connection.make_ready()
    wire.data_received(b"HTTP/1.1 200 OK\r\n\r\n")  # nobody has asked
    assert not connection.is_idle
