"""The upstream projects of the example: tarballs and git repositories, and a server for them.

`python3 -m examples.sources` serves them at the address that the definitions name, until somebody
interrupts it. With `--print` it only prints the digests and commits that the definitions must name.
Everything is made from `upstream/`, and has the same bytes on every machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import zlib
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote

from cluster.debian import install
from cluster.system import explained, say

if TYPE_CHECKING:
    from types import TracebackType

UPSTREAM = Path(__file__).resolve().parent / "upstream"
ADDRESS = "10.203.0.1"
"""The address of the host for pods of the test cluster (HOST_ADDRESS in cluster/config.py)."""
PORT = 8099
URL = f"http://{ADDRESS}:{PORT}"
"""The beginning of the URLs in the definitions."""

RELEASES = {"template": "v0.20", "theme": "v1.4.2"}
"""By repository, the tag of its release."""
_WHO = "Upstream <upstream@example.org> 1674604800 +0000"
_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "PATH": os.environ.get("PATH", os.defpath),
}
"""The environment of every git here. It has no settings, so commits are the same everywhere."""


def files() -> dict[str, bytes]:
    """Return, by path at the server, the content of everything that is not a git repository."""
    found: dict[str, bytes] = {}
    for entry in sorted(UPSTREAM.iterdir()):
        if entry.is_file():
            found[f"/files/{entry.name}"] = entry.read_bytes()
        elif entry.name not in RELEASES:
            found[f"/files/{entry.name}.tar.gz"] = _gzip(_tar(entry))
    return found


def make_repositories(directory: Path) -> dict[str, str]:
    """Write a bare repository NAME.git of each project into `directory`.

    Each has three commits on `main`, and the tag of the release is on the second. The result has
    the commit of the release by the name of the project. git is installed if it is missing.
    """
    if shutil.which("git") is None:
        install("git")
    commits = {}
    for name, tag in RELEASES.items():
        repository = directory / f"{name}.git"
        _git(repository.parent, "init", "--quiet", "--bare", "--initial-branch=main", repository)
        _git(repository, "fast-import", "--quiet", stdin=_history(UPSTREAM / name, tag))
        _git(repository, "update-server-info")  # for clients that fetch plain files
        commits[name] = _git(repository, "rev-parse", f"{tag}^{{commit}}").decode().strip()
    return commits


def _tar(tree: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in (tree, *sorted(tree.rglob("*"))):
            member = archive.gettarinfo(path, str(path.relative_to(tree.parent)))
            member.uid = member.gid = member.mtime = 0
            member.uname = member.gname = ""
            member.mode = _mode(path)
            if path.is_file():
                archive.addfile(member, io.BytesIO(path.read_bytes()))
            else:
                archive.addfile(member)
    return buffer.getvalue()


def _mode(path: Path) -> int:
    # git keeps one bit of a file's mode; the rest depends on the umask of the checkout.
    return 0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644


def _gzip(data: bytes) -> bytes:
    """Return `data` as gzip (RFC 1952), not compressed, because builds of zlib differ in that."""
    blocks = [data[start : start + 0xFFFF] for start in range(0, len(data), 0xFFFF)] or [b""]
    body = b"".join(
        struct.pack("<BHH", number == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks)
    )
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))


def _history(tree: Path, tag: str) -> bytes:
    """Return three commits for git fast-import: the first, the release, and a later one."""
    whole = {str(path.relative_to(tree)): path for path in sorted(tree.rglob("*"))}
    readme = {"README.md": tree / "README.md"}
    stream = _commit("Begin", readme) + _commit(f"Release {tag}", whole)
    stream += b"tag %s\nfrom refs/heads/main\ntagger %s\n" % (tag.encode(), _WHO.encode())
    stream += _data(f"{tag}\n".encode())
    return stream + _commit("Forget the release's files", readme)


def _commit(message: str, content: dict[str, Path]) -> bytes:
    stream = b"commit refs/heads/main\ncommitter %s\n" % _WHO.encode()
    stream += _data(f"{message}\n".encode()) + b"deleteall\n"
    for name, path in content.items():
        if path.is_file():
            stream += b"M 100%o inline %s\n" % (_mode(path), name.encode())
            stream += _data(path.read_bytes())
    return stream


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _git(cwd: Path, *words: str | Path, stdin: bytes = b"") -> bytes:
    command = ["git", *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, env=_GIT, input=stdin, check=True, stdout=subprocess.PIPE
    ).stdout


class SourceServer:
    """A context manager that serves `/files/…` and `/git/NAME.git` while it is open."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = _Server((host, port), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """The scheme, the address and the port of the server."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def requests(self) -> Counter[str]:
        """The number of requests for each path."""
        return self._server.requests

    def __enter__(self) -> Self:
        make_repositories(self._server.repositories)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        shutil.rmtree(self._server.repositories)

    def wait(self) -> None:
        """Serve until the thread is interrupted."""
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.repositories = Path(tempfile.mkdtemp(prefix="sources-"))
        self.files = files()
        self.requests: Counter[str] = Counter()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.server.requests[path] += 1
        if path.startswith("/git/"):
            self._git(path)
        elif path in self.server.files:
            self._answer(200, self.server.files[path])
        else:
            self._answer(404, b"")

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _git(self, path: str) -> None:
        # git's own CGI program speaks the smart protocol, which shallow clones need, and it serves
        # plain files as well.
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        names = ("Content-Type", "Content-Encoding", "Git-Protocol")
        environment = {
            **_GIT,
            "GIT_PROJECT_ROOT": str(self.server.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path.removeprefix("/git"),
            "QUERY_STRING": self.path.partition("?")[2],
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type") or "",
        }
        for name in names[1:]:
            if value := self.headers.get(name):
                environment[f"HTTP_{name.upper().replace('-', '_')}"] = value
        done = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        status = int(headers.pop("Status", "200").split()[0])
        self._answer(status, content, headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {"Content-Type": "application/octet-stream"}).items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing; `requests` counts the requests."""


def serve() -> None:
    """Serve at the address that the definitions name, until somebody interrupts it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with SourceServer(host=ADDRESS, port=PORT) as running, contextlib.suppress(KeyboardInterrupt):
        say(f"serving at {running.url}")
        running.wait()


def print_digests() -> None:
    """Print the digests and commits that the definitions must name."""
    for path, data in files().items():
        print(path, "sha256", hashlib.sha256(data).hexdigest())
        print(path, "sha512", hashlib.sha512(data).hexdigest())
    with tempfile.TemporaryDirectory() as directory:
        for name, commit in make_repositories(Path(directory)).items():
            print(f"/git/{name}.git", RELEASES[name], commit)


if __name__ == "__main__":
    sys.exit(explained(print_digests if "--print" in sys.argv else serve))
