"""Serves files to one client over HTTP, through the API server, until it has everything or never comes."""

from __future__ import annotations

import shutil
import threading
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO

from dag.errors import InfrastructureError


class ServedFiles(ABC):
    """Files that a client may list and fetch."""

    @abstractmethod
    def listing(self) -> str:
        """Return the lines of sha256sum for the files that are listed."""

    @abstractmethod
    def opened(self, name: str) -> AbstractContextManager[BinaryIO] | None:
        """Open a file by its name; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Whom files are served to, where, and how long nobody may come."""

    run: str
    """The run's id, which only those know who may read the pod."""
    port: int
    hold: float
    """Seconds to wait for a client."""


class _Clients:
    """What is known of clients: when one was there last, and whether one has everything."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.seen = time.monotonic()

    def note(self) -> None:
        self.seen = time.monotonic()


def serve_files(service: Service, files: ServedFiles) -> None:
    """Serve files until a client says that it has all that it wants.

    Raises:
        InfrastructureError: no client came.

    """
    clients = _Clients()
    handler = _handler(service.run, files, clients)
    with ThreadingHTTPServer(("", service.port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while not clients.ended.wait(1):
            if time.monotonic() - clients.seen > service.hold:
                raise InfrastructureError(
                    f"nobody came for the packages within {service.hold:g} seconds"
                )
        server.shutdown()


def _handler(run: str, files: ServedFiles, clients: _Clients) -> type[BaseHTTPRequestHandler]:
    listing = files.listing().encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path.removeprefix("/"):
                case path if path == f"list-{run}":
                    self._answer(listing)
                case path if path == f"alive-{run}":
                    self._answer(b"")
                case path if path == f"end-{run}":
                    self._answer(b"")
                    clients.ended.set()
                case path if path.startswith(f"{run}/") and (
                    file := files.opened(path.removeprefix(f"{run}/"))
                ):
                    self._send(file)
                case _:
                    self.send_error(404)

        def _answer(self, body: bytes) -> None:
            clients.note()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _send(self, opened: AbstractContextManager[BinaryIO]) -> None:
            clients.note()
            with opened as file:
                self.send_response(200)
                self.send_header("Content-Length", str(file.seek(0, 2)))
                self.end_headers()
                file.seek(0)
                shutil.copyfileobj(file, self.wfile, 1 << 20)
            clients.note()

        def log_message(self, *words: object) -> None:
            """Say nothing: nobody reads the log of this container."""

    return Handler
