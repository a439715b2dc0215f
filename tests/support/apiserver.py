"""A Kubernetes API server of a test's own: it keeps objects in memory, and refuses on demand.

It knows server-side apply as far as `dag setup` relies on it (each manager has the fields that it
applied last), and the preconditions of a deletion. The real one is in `tests/cluster`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.serving import serving

Object = dict[str, Any]
_REASONS = {403: "Forbidden", 404: "NotFound", 409: "Conflict", 500: "InternalError"}


@dataclass
class Kept:
    """An object: what was there before anybody applied something, and what each manager applied."""

    uid: str
    version: int
    managers: dict[str, Object] = field(default_factory=dict)

    def rendered(self) -> Object:
        """Return the object as a client reads it."""
        whole: Object = {}
        for manifest in self.managers.values():
            whole = merged(whole, manifest)
        entries = [{"manager": name, "operation": "Apply"} for name in self.managers]
        own = {"uid": self.uid, "resourceVersion": str(self.version), "managedFields": entries}
        return merged(whole, {"metadata": own, "status": {}})


def merged(one: Object, other: Object) -> Object:
    """Return both, of which the second counts."""
    both = {
        key: merged(one[key], value)
        if isinstance(value, dict) and isinstance(one.get(key), dict)
        else value
        for key, value in other.items()
    }
    return {**one, **both}


class ApiServer:
    """The server, its objects by their paths, and the requests that changed something."""

    def __init__(self) -> None:
        self.objects: dict[str, Kept] = {}
        self.changes: list[str] = []
        self.before: Callable[[str, str], int | None] = lambda _method, _path: None
        """Called before each request; it may change objects, and return a status to refuse it."""
        self._count = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_words: object) -> None:
                """Say nothing."""

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                status, found = server.answer(self.command, self.path, body)
                data = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PATCH = do_DELETE = _answer  # noqa: N815  # the names are http.server's

        self._handler = Handler
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.url = f"http://127.0.0.1:{self._stack.enter_context(serving(self._handler))}"
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _tb: TracebackType | None,
    ) -> None:
        self._stack.close()

    def put(self, path: str, manifest: Object, manager: str = "somebody") -> None:
        """Make or change an object as this manager."""
        self._count += 1
        kept = self.objects.setdefault(path, Kept(f"uid-{self._count}", 0))
        kept.version = self._count
        kept.managers[manager] = manifest

    def get(self, path: str) -> Object:
        """Return an object as a client reads it."""
        return self.objects[path].rendered()

    def answer(self, method: str, url: str, body: Object | None) -> tuple[int, Object]:
        """Answer a request."""
        parts = urlsplit(url)
        path = parts.path
        if refused := self.before(method, path):
            return refused, _status(refused)
        if method != "GET":
            self.changes.append(f"{method} {path}")
        kept = self.objects.get(path)
        match method:
            case "PATCH":
                assert body is not None
                wanted = body["metadata"].pop("uid", None)
                if wanted and (kept is None or kept.uid != wanted):
                    return 409, _status(409)
                manager = parse_qs(parts.query)["fieldManager"][0]
                if kept is None or kept.managers.get(manager) != body:
                    self.put(path, body, manager)
                return 200, self.get(path)
            case _ if kept is None:
                return 404, _status(404)
            case "DELETE":
                assert body is not None
                wanted = body["preconditions"]
                if wanted != {"uid": kept.uid, "resourceVersion": str(kept.version)}:
                    return 409, _status(409)
                del self.objects[path]
        return 200, kept.rendered()


def _status(code: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": _REASONS[code],
        "message": f"the test says {_REASONS[code]}",
    }
