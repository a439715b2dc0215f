"""A loopback API server that has one Lease, which others may hold and renew."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dag.core.jobs.lease import LeaseView, read_lease

Json = dict[str, Any]


class OneLease:
    """The Lease, whatever it is called; the server knows nothing else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lease: Json | None = None
        self.url = ""
        self.looks = 0
        """How often it was read."""
        self.admits = True
        """Whether the Lease may be changed by whoever has seen it as it is."""

    @property
    def exists(self) -> bool:
        """Return whether there is one."""
        with self._lock:
            return self._lease is not None

    @property
    def view(self) -> LeaseView:
        """Return the Lease as a client would read it."""
        with self._lock:
            assert self._lease is not None
            return read_lease(self._lease)

    def let_hold(self, holder: str, renewed: str, **note: str) -> None:
        """Let somebody hold it from now on."""
        with self._lock:
            if self._lease is None:
                self._lease = {"kind": "Lease", "metadata": {"uid": "1", "resourceVersion": "0"}}
            self._lease["spec"] = {"holderIdentity": holder, "renewTime": renewed}
            self._lease["metadata"]["annotations"] = {"dag/driver": json.dumps(note)}
            self._count()

    def delete(self) -> None:
        """Let there be none, as if somebody had deleted it by hand."""
        with self._lock:
            self._lease = None

    def answer(self, method: str, body: bytes) -> tuple[int, Json]:
        """Return the status and the body of the answer to a request."""
        with self._lock:
            self.looks += method == "GET"
            if method == "POST" and self._lease is None:
                self._lease = json.loads(body)
                self._lease["metadata"] |= {"uid": "1", "resourceVersion": "0"}
                return 201, self._lease
            if method == "POST":
                return _refusal(409, "AlreadyExists")
            if self._lease is None:
                return _refusal(404, "NotFound")
            if method == "PATCH":
                test, *changes = json.loads(body)
                if not self.admits or test["value"] != self._lease["metadata"]["resourceVersion"]:
                    return _refusal(422, "Invalid")
                for one in changes:
                    *above, last = one["path"].strip("/").split("/")
                    place = self._lease
                    for part in above:
                        place = place[part]
                    place[last] = one["value"]
                self._count()
            return 200, self._lease

    def _count(self) -> None:
        assert self._lease is not None
        metadata = self._lease["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)


def _refusal(status: int, reason: str) -> tuple[int, Json]:
    return status, {"kind": "Status", "message": reason, "reason": reason, "code": status}


@contextmanager
def lease_server() -> Iterator[OneLease]:
    """Serve a Lease that is not there yet."""
    lease = OneLease()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status, found = lease.answer(self.command, self.rfile.read(length))
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815  # the server looks for these names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        lease.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield lease
        finally:
            server.shutdown()
            thread.join()
