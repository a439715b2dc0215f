"""Serves what was built to the client of `--out`, until it has everything or never comes."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from dag.core.limits import BUILD_LOG, PACKAGE_INDEX, PUBLIC_KEY, Limit
from dag.core.package.apk import BrokenPackage
from dag.core.package.apkindex import FILE_NAME
from dag.errors import InfrastructureError
from dag.io.agent.intake import Taken, take, take_packages
from dag.report.terminal import say
from dag.run.agent.awaiting import await_build


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOrder:
    """What is served, and to whom."""

    run: str
    """The run's id, which only those know who may read the pod."""
    arch: str
    workspace: Path
    pipe: Path
    state: Path
    """A directory that the build cannot reach."""
    log_directory: Path
    """Where the build's script keeps `log`."""
    public_key: str
    """The name of the file in the workspace."""
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


def serve(order: ServeOrder) -> None:
    """Wait for the end of the build, copy what it left, and serve the copies over HTTP.

    Raises:
        InfrastructureError: no client came, or the pod was ended before the build had begun.

    """
    clients = _Clients()
    await_build(order.pipe, last=False)
    files = dict(_served(order))
    clients.note()
    with ThreadingHTTPServer(("", order.port), _handler(order.run, files, clients)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while not clients.ended.wait(1):
            if time.monotonic() - clients.seen > order.hold:
                raise InfrastructureError(
                    f"nobody came for the packages within {order.hold:g} seconds"
                )
        server.shutdown()


def _served(order: ServeOrder) -> list[tuple[str, Path]]:
    """Copy the packages, their index, the public key and the log; return each name's copy."""
    found: list[tuple[str, Path]] = []
    for taken in take_packages(order.workspace, order.arch, order.state / "packages"):
        if isinstance(taken, Taken):
            found.append((taken.name, taken.copy))
        else:
            say(taken)
    others: tuple[tuple[str, Path, str, Limit], ...] = (
        ("index", order.workspace, f"packages/{order.arch}/{FILE_NAME}", PACKAGE_INDEX),
        ("key", order.workspace, order.public_key, PUBLIC_KEY),
        ("log", order.log_directory, "log", BUILD_LOG),
    )
    for place, directory, name, limit in others:
        try:
            found.append((name, take(directory, name, order.state / place, limit).copy))
        except FileNotFoundError:
            continue
        except BrokenPackage as error:
            say(f"{name}: {error}")
    return found


def _handler(run: str, files: dict[str, Path], clients: _Clients) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            clients.note()
            match self.path.removeprefix("/"):
                case path if path == f"list-{run}":
                    self._answer(_listing(files).encode())
                case path if path == f"alive-{run}":
                    self._answer(b"")
                case path if path == f"end-{run}":
                    self._answer(b"")
                    clients.ended.set()
                case path if (file := files.get(path.removeprefix(f"{run}/"))) is not None and (
                    path.startswith(f"{run}/")
                ):
                    self._send(file)
                case _:
                    self.send_error(404)

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _send(self, path: Path) -> None:
            with path.open("rb") as file:
                self.send_response(200)
                self.send_header("Content-Length", str(path.stat().st_size))
                self.end_headers()
                shutil.copyfileobj(file, self.wfile, 1 << 20)
            clients.note()

        def log_message(self, *words: object) -> None:
            """Say nothing: nobody reads the log of this container."""

    return Handler


def _listing(files: dict[str, Path]) -> str:
    """Return the lines of sha256sum for all files but the log."""
    lines = []
    for name, path in files.items():
        if name != "log":
            with path.open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)
