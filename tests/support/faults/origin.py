"""A server with no other server behind it, whose downloads are as hostile as a test wants."""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import TYPE_CHECKING, Literal

from tests.support.faults.server import Server
from tests.support.faults.wire import Answer, Incoming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.support.faults.connection import Backend

Ranges = Literal["honoured", "ignored", "shifted"]


class Origin(Server):
    """Answers by itself; 404 for every path that nothing was put at.

    ```python
    with Origin() as origin:
        url = origin.put("/a.tar.gz", data, length=len(data) + 5)   # a Content-Length that lies
        origin.on("GET", "/a").reset(after=1000)                    # rules apply here, too
    ```
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, tls: bool = False) -> None:
        super().__init__(host=host, port=port, tls=tls)
        self._handlers: dict[str, Callable[[Incoming], Answer]] = {}

    def handle(self, path: str, handler: Callable[[Incoming], Answer]) -> str:
        """Have `handler` answer requests for `path` with any query; return the URL."""
        self._handlers[path] = handler
        return self.url + path

    def put(
        self,
        path: str,
        data: bytes,
        *,
        length: int | None = None,
        gzipped: bool = False,
        chunked: bool = False,
        ranges: Ranges = "honoured",
    ) -> str:
        """Serve `data` at `path`, and return the URL.

        `length` is the Content-Length that is claimed. `gzipped` compresses the body on the way,
        with Content-Encoding, whether the client accepts that or not. `chunked` sends no length.
        `ranges` says what happens to a request for a range: "ignored" answers with everything, and
        "shifted" claims that range and sends bytes from one byte further on.
        """
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'

        def handler(request: Incoming) -> Answer:
            body, status = data, 200
            headers = {"ETag": etag}
            if ranges != "ignored":
                headers["Accept-Ranges"] = "bytes"
                if span := _span(request, len(data), etag):
                    start, stop = span
                    if start >= len(data):
                        return Answer.of(416, {"Content-Range": f"bytes */{len(data)}"})
                    shift = int(ranges == "shifted")
                    body, status = data[start + shift : stop + shift], 206
                    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            if gzipped:
                body = gzip.compress(body, mtime=0)
                headers["Content-Encoding"] = "gzip"
            if chunked:
                pairs = tuple(headers.items())
                return Answer(status=status, headers=pairs, body=body, framing="chunked")
            headers["Content-Length"] = str(len(body) if length is None else length)
            return Answer.of(status, headers, body)

        return self.handle(path, handler)

    def redirect(self, path: str, to: str, *, status: int = 302) -> str:
        """Redirect requests for `path` to `to`, which may be any URL, or no URL at all."""
        return self.handle(path, lambda _: Answer.of(status, {"Location": to}))

    def endless(self, path: str, *, length: int | None = None) -> str:
        """Serve a body that never ends, in chunks or after a Content-Length of `length`."""

        def body() -> Iterator[bytes]:
            while True:
                yield bytes(64 * 1024)

        def handler(_: Incoming) -> Answer:
            if length is None:
                return Answer(status=200, body=body, framing="chunked")
            return Answer(status=200, headers=(("Content-Length", str(length)),), body=body)

        return self.handle(path, handler)

    def _backend(self) -> Backend:
        return _Handlers(self._handlers)


class _Handlers:
    def __init__(self, handlers: dict[str, Callable[[Incoming], Answer]]) -> None:
        self._handlers = handlers

    async def perform(self, request: Incoming, upload: AsyncIterator[bytes]) -> Answer:
        async for _ in upload:
            pass
        handler = self._handlers.get(request.target.partition("?")[0])
        return handler(request) if handler else Answer.of(404, body=b"nothing here\n")

    async def finish(self) -> None:
        """Do nothing, because nothing is kept between requests."""

    def reset(self) -> None:
        """Do nothing, because there is no connection to reset."""


def _span(request: Incoming, size: int, etag: str) -> tuple[int, int] | None:
    """Return the range that the request asks for, if it does: its first byte and its end."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.header("range") or "")
    if not found or request.header("if-range") not in (None, etag):
        return None
    stop = int(found[2]) + 1 if found[2] else size
    return int(found[1]), min(stop, size)
