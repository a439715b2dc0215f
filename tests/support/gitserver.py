"""A git server on loopback: git's own http-backend behind Python's HTTP server."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Self

from tests.support.serving import serving

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
}


def git(directory: Path, *arguments: str, more: dict[str, str] | None = None) -> str:
    """Run git in `directory`, and return its output."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env=ENVIRONMENT | (more or {}),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


class Upstream:
    """A repository with a work tree, which is served as a bare one."""

    def __init__(self, root: Path, name: str) -> None:
        self.work = root / "work" / name
        self.work.mkdir(parents=True)
        self.bare = root / "served" / f"{name}.git"
        git(self.work, "init", "-q", "-b", "main")

    def commit(self, text: str, path: str = "file") -> str:
        """Write a file and commit it, and return the commit."""
        (self.work / path).write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "--allow-empty", "-m", text)
        return git(self.work, "rev-parse", "HEAD")

    def submodule(self, path: str, uri: str, source: Upstream, commit: str) -> str:
        """Add a submodule at `commit` of `source`, and return the new commit."""
        with (self.work / ".gitmodules").open("a") as file:
            file.write(f'[submodule "{path}"]\n\tpath = {path}\n\turl = {uri}\n')
        git(self.work, "add", ".gitmodules")
        git(self.work, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
        git(self.work, "commit", "-q", "-m", f"submodule {path}")
        del source
        return git(self.work, "rev-parse", "HEAD")

    def head(self) -> str:
        """Return the latest commit."""
        return git(self.work, "rev-parse", "HEAD")

    def tag(self, name: str, *, annotated: bool = False) -> str:
        """Tag the latest commit, and return the hash of the tag itself."""
        git(self.work, "tag", *(["-a", "-m", name] if annotated else []), name)
        return git(self.work, "rev-parse", f"refs/tags/{name}")

    def publish(self) -> None:
        """Copy the repository to the server."""
        self.bare.parent.mkdir(parents=True, exist_ok=True)
        if not self.bare.exists():
            git(self.work, "clone", "-q", "--mirror", ".", str(self.bare))
        git(self.work, "push", "-q", "--force", "--mirror", str(self.bare))


class GitServer:
    """A server of `root`/served over smart HTTP, which counts requests.

    With a `login` (`USER:PASSWORD`) it serves nobody else. One that is `old` speaks git's first
    protocol only, as behind a proxy that drops the header `Git-Protocol`.
    """

    def __init__(self, root: Path, login: str = "", *, old: bool = False) -> None:
        self.requests: list[str] = []
        self.logins: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                outer.requests.append(f"{self.command} {self.path}")
                given = self.headers.get("Authorization")
                outer.logins.append(given)
                if login and given != f"Basic {b64encode(login.encode()).decode()}":
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="git"')
                    self.end_headers()
                    return
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                environment = ENVIRONMENT | {
                    "GIT_PROJECT_ROOT": str(root / "served"),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_PROTOCOL": "" if old else self.headers.get("Git-Protocol", ""),
                }
                answer = subprocess.run(
                    ["git", "-c", "safe.directory=*", "http-backend"],
                    env=environment,
                    input=body,
                    check=False,
                    capture_output=True,
                ).stdout
                head, _, content = answer.partition(b"\r\n\r\n")
                headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if line)
                status = headers.pop("Status", "200 OK")
                self.send_response(int(status.split()[0]))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815  # the base class chooses the names

            def log_message(self, *_: object) -> None:
                pass

        self._handler = Handler
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.host = f"127.0.0.1:{self._stack.enter_context(serving(self._handler))}"
        self.url = f"http://{self.host}"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@contextlib.contextmanager
def git_daemon(root: Path) -> Iterator[str]:
    """Run git's own daemon for `root`/served, and yield its URL."""
    base = root / "served"
    base.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        # As inetd does it: the daemon is given each connection, and nobody waits for it to listen.
        stop = threading.Event()
        children: list[subprocess.Popen[bytes]] = []

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    if stop.is_set():
                        return
                    children.append(
                        subprocess.Popen(
                            ["git", "daemon", "--inetd", "--export-all", f"--base-path={base}"],
                            env=ENVIRONMENT
                            | {
                                "GIT_CONFIG_COUNT": "1",
                                "GIT_CONFIG_KEY_0": "safe.directory",
                                "GIT_CONFIG_VALUE_0": "*",
                            },
                            stdin=connection.fileno(),
                            stdout=connection.fileno(),
                            stderr=subprocess.DEVNULL,
                        )
                    )

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"git://127.0.0.1:{port}"
        finally:
            stop.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()
            for child in children:
                child.kill()
                child.wait()
