"""Handlers of `http.server` or `socketserver` on loopback; their server ends at once, with all it opened."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from socketserver import BaseRequestHandler

Handlers = Callable[..., BaseRequestHandler]

_LOOKS = 0.01
"""How many seconds pass between two looks of the server whether it is to end: http.server's are
half a second, and every test that has a server would wait for one of them."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that `server_close` waits for the threads of all connections

    def __init__(self, host: str, handlers: Handlers) -> None:
        super().__init__((host, 0), handlers)
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def get_request(self) -> tuple[socket.socket, object]:
        connection, client = super().get_request()
        with self._guard:
            self._open.add(connection)
        return connection, client

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections on which clients might send another request."""
        with self._guard:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serving(
    handlers: Handlers, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve at a free port, which is returned, until the end of the block."""
    server = _Server(host, handlers)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(_LOOKS,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.hang_up()
        server.server_close()
