"""An HTTP proxy, on loopback unless a test says where: it forwards, and notes who asked for what."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Forwarder:
    """A proxy, which runs until the end of the block; with an `answer` it gives only that.

    It alone knows the hosts in `places`: what listens to those ports of this machine.
    """

    def __init__(
        self,
        answer: bytes = b"",
        *,
        host: str = "127.0.0.1",
        places: Mapping[str, int] | None = None,
    ) -> None:
        self.lines: list[str] = []
        """The first lines of the requests that it got."""
        self.logins: list[str] = []
        """The values of the header Proxy-Authorization."""
        self.heads = b""
        """All that it could read of its clients."""
        self._answer = answer
        self._places = places or {}
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((host, 0))
        self.place = "{}:{}".format(*self._listener.getsockname())

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listener, *self._open):
            one.close()

    def _start(self, function: object, *arguments: object) -> None:
        def run() -> None:
            assert callable(function)
            with contextlib.suppress(OSError):
                function(*arguments)

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self._open.append(client)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (data := client.recv(65536)):
                return
            head += data
        self.heads += head
        head, end, body = head.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.lines.append(lines[0])
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        if "Proxy-Authorization" in headers:
            self.logins.append(headers["Proxy-Authorization"])
        if self._answer:
            client.sendall(self._answer)
            return
        method, target, version = lines[0].split(" ")
        place = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host = place.hostname or ""
        if host in self._places:
            address = ("127.0.0.1", self._places[host])
        else:
            address = (host, place.port or 80)
        try:
            server = socket.create_connection(address)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        self._open.append(server)
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            asked = urlunsplit(place._replace(scheme="", netloc=""))
            # What comes after it on this connection may be for another host.
            lines[0:1] = [f"{method} {asked} {version}", "Connection: close"]
            server.sendall("\r\n".join(lines).encode("latin-1") + end + body)
        self._start(_pump, server, client)
        _pump(client, server)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_RDWR)
