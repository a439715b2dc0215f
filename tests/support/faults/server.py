"""The common part of proxy and origin: a server in a thread that applies rules to requests."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import tempfile
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Self

import h11

from tests.support.faults.certificates import make_certificate
from tests.support.faults.connection import Backend, Connection, Exchange
from tests.support.faults.rules import Fault, Match, Rule
from tests.support.faults.wire import Incoming, Peer

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

_TURNS = 5
"""How many turns of the loop a new connection may take to become an object; it takes fewer."""


class Server(ABC):
    """A server on `host` whose answers have the faults that the rules name.

    It is a context manager. Leaving it raises what went wrong in the server itself.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, tls: bool = False) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._rules: list[Rule] = []
        self._connections: set[Connection] = set()
        self._errors: list[BaseException] = []
        self._stack = contextlib.ExitStack()
        self._reserved: socket.socket
        self._thread: threading.Thread
        self._loop: asyncio.AbstractEventLoop
        self._listener: asyncio.Server | None = None
        self._context: ssl.SSLContext | None = None
        self._stop: asyncio.Event
        self.ca_file: Path | None = None
        """The certificate that a client has to trust, if there is `tls`."""
        self._exchanges: list[Exchange] = []

    # The following methods arrange something.

    def on(
        self,
        method: str = "*",
        path: str = "",
        *,
        header: tuple[str, str] | None = None,
        nth: int = 1,
        times: int | None = 1,
    ) -> Match:
        """Choose requests: the `nth` of those that match, and the following up to `times` (None: all).

        `path` is a regular expression that is searched for in the path with its query. `header` is
        a name and a regular expression for the value. A method of the result names the fault. If
        several rules are due, the first one applies; all of them count the request.
        """

        def rule(fault: Fault) -> Rule:
            wanted = None if header is None else (header[0], re.compile(header[1]))
            return Rule(
                method=method,
                path=re.compile(path),
                header=wanted,
                nth=nth,
                times=times,
                fault=fault,
            )

        return Match(self._rules, rule)

    def clear(self) -> None:
        """Forget all rules, and release what they hold."""
        while self._rules:
            self._rules.pop().release()

    def cut(self) -> None:
        """Reset every open connection on both sides."""
        self._do(self._cut())

    def down(self, *, cut: bool = True) -> None:
        """Refuse connections from now on; with `cut`, reset those that are open, too."""
        self._do(self._down(cut=cut))

    def up(self) -> None:
        """Accept connections again, at the same port."""
        self._do(self._listen())

    # The following methods ask something.

    @property
    def url(self) -> str:
        """The scheme, the address and the port, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The port of the server, which it keeps while it is down."""
        return self._port

    @property
    def live(self) -> int:
        """How many clients are connected."""
        self._settle()
        return len(self._connections)

    @property
    def exchanges(self) -> list[Exchange]:
        """Every request since the start, in the order of arrival."""
        return self.matching()

    def matching(self, method: str = "*", path: str = "") -> list[Exchange]:
        """Return the exchanges with that method whose path contains a match of `path`."""
        self._settle()
        return [
            exchange
            for exchange in list(self._exchanges)
            if method in ("*", exchange.request.method) and re.search(path, exchange.request.target)
        ]

    def count(self, method: str = "*", path: str = "") -> int:
        """Return how many requests came in, those with faults included."""
        return len(self.matching(method, path))

    def received(self, method: str = "*", path: str = "") -> int:
        """Return how many bytes of request bodies were passed on (uploads)."""
        return sum(exchange.received for exchange in self.matching(method, path))

    def sent(self, method: str = "*", path: str = "") -> int:
        """Return how many bytes of answer bodies reached clients (downloads)."""
        return sum(exchange.sent for exchange in self.matching(method, path))

    # The rest runs the server.

    def __enter__(self) -> Self:
        if self._tls:
            directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            self.ca_file, key = make_certificate(directory, self._host)
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(self.ca_file, key)
            self._context.set_alpn_protocols(["http/1.1"])
        # A bound socket that does not listen reserves the port while the server is down.
        self._reserved = self._bound()
        self._stack.callback(self._reserved.close)
        self._port = self._reserved.getsockname()[1]
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        self._stack.callback(self._thread.join)
        ready.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._stack.close()
        if self._errors and error is None:
            raise self._errors[0]

    @abstractmethod
    def _backend(self) -> Backend:
        """Return the backend for one client's connection."""

    def _bound(self) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((self._host, self._port))
        return bound

    def _settle(self) -> None:
        # A client can have its answer before the exchange is recorded. One turn of the loop later
        # it is recorded, and after the server's end all are.
        if not self._loop.is_closed() and threading.current_thread() is not self._thread:
            self._do(asyncio.sleep(0))

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _serve(self, ready: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._listen()
        ready.set_result(None)
        await self._stop.wait()
        await self._down(cut=True)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._accepted, sock=self._bound(), ssl=self._context
            )

    async def _down(self, *, cut: bool) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            # asyncio forgets a connection that it has accepted and made no object of yet when its
            # server is closed: nobody would end that connection.
            for listening in listener.sockets:
                self._loop.remove_reader(listening.fileno())
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            listener.close()
        if cut:
            await self._cut()

    async def _cut(self) -> None:
        tasks = [connection.cut() for connection in list(self._connections)]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(h11.SERVER, reader, writer)
        connection = Connection(peer, self._backend(), self._begin)
        self._connections.add(connection)
        connection.task.add_done_callback(lambda task: self._ended(connection, task))

    def _ended(self, connection: Connection, task: asyncio.Task[None]) -> None:
        self._connections.discard(connection)
        if not task.cancelled() and (error := task.exception()):
            self._errors.append(error)

    def _begin(self, request: Incoming) -> Exchange:
        exchange = Exchange(request=request)
        for rule in list(self._rules):
            if rule.due(request) and exchange.rule is None:
                exchange.rule = rule
        self._exchanges.append(exchange)
        return exchange
