"""An API server that stands in for a cluster of any size: Jobs become Pods, which end after a while.

    python -m tests.support.standins.jobserver PLAN

PLAN is a file of JSON: for each package, under its name, the seconds that its Pod takes, the last words
of its agent, and the lines of that one's log. A Job for none of them ends at once. The first line on
the standard output is the port. What there was of objects and requests is at `/stats`. It knows what
the client of Jobs asks for, in the forms of the real one: lists, watches, making, reading, deleting.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
JOBS, PODS = "jobs", "pods"
BEGIN = 0.01
"""Seconds between the steps of a Pod before it builds."""


@dataclass
class Course:
    """What a Pod does."""

    seconds: float = 0.0
    words: str = ""
    """The last words of its agent."""
    lines: Sequence[str] = ()
    """What is on its log."""
    code: int = 0
    """How its main container exits."""


@dataclass
class Kind:
    """The objects of one kind, and who watches them."""

    name: str
    objects: dict[str, Object] = field(default_factory=dict)
    watchers: set[asyncio.Queue[bytes]] = field(default_factory=set)
    most: int = 0

    def tell(self, event: str, item: Object) -> None:
        line = json.dumps({"type": event, "object": item}, separators=(",", ":")).encode() + b"\n"
        for queue in self.watchers:
            queue.put_nowait(line)


class Server:
    """The server and all that it keeps."""

    def __init__(self, plan: dict[str, tuple[float, str, list[str]]] | None = None) -> None:
        self.plan = {name: Course(*words) for name, words in (plan or {}).items()}
        self.courses: dict[str, Course] = {}
        """What each Pod does, by its name."""
        self.kinds = {name: Kind(name) for name in (JOBS, PODS)}
        self.requests: Counter[str] = Counter()
        self.largest = 0
        """The bytes of the largest Job."""
        self.seconds: dict[str, float] = {}
        """How long the Pod of each package took, from its Job on."""
        self._version = 0

    def course(self, job: Object) -> Course:
        """Return what the Pod of a Job does."""
        return self.plan.get(
            job["metadata"].get("annotations", {}).get("dag/package", ""), Course()
        )

    # ---- objects ------------------------------------------------------------------------------

    def _put(self, kind: str, item: Object) -> Object:
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        there, name = self.kinds[kind], item["metadata"]["name"]
        event = "MODIFIED" if name in there.objects else "ADDED"
        there.objects[name] = item
        there.most = max(there.most, len(there.objects))
        there.tell(event, item)
        return item

    def _drop(self, kind: str, name: str) -> Object | None:
        item = self.kinds[kind].objects.pop(name, None)
        if item is not None:
            self._version += 1
            item["metadata"]["resourceVersion"] = str(self._version)
            self.kinds[kind].tell("DELETED", item)
        return item

    async def _live(self, job: Object) -> None:
        """Make the Pod of a Job, and let it begin and end as the kubelet and the controller do."""
        began = time.monotonic()
        name, template = job["metadata"]["name"], job["spec"]["template"]
        marks = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": name}
        metadata = {**template["metadata"], "name": f"{name}-x", "labels": marks}
        metadata["namespace"] = job["metadata"].get("namespace", "n")
        metadata["uid"] = f"{job['metadata']['uid']}-pod"
        package = job["metadata"].get("annotations", {}).get("dag/package", "")
        course = self.courses[f"{name}-x"] = self.course(job)
        containers = [one["name"] for one in template["spec"]["containers"]]
        first = [one["name"] for one in template["spec"].get("initContainers", ())]
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        reason, phase = ("Error", "Failed") if course.code else ("Completed", "Succeeded")
        last = {"terminated": {"exitCode": course.code, "reason": reason, "message": course.words}}
        steps: list[tuple[str, Any, Any, float]] = [
            ("Pending", {}, {}, BEGIN),
            ("Pending", running, {}, BEGIN),
            ("Running", ended, running, course.seconds),
            (phase, ended, last, 0.0),
        ]
        for phase, before, now, then in steps:
            if name not in self.kinds[JOBS].objects:
                return
            status: Object = {"phase": phase}
            if before:
                status["initContainerStatuses"] = [{"name": one, "state": before} for one in first]
            if now:
                status["containerStatuses"] = [{"name": one, "state": now} for one in containers]
            pod = {"metadata": {**metadata}, "spec": template["spec"], "status": status}
            self._put(PODS, pod)
            if now is not last:
                await asyncio.sleep(then)
        self.seconds[package] = time.monotonic() - began
        done = {"type": "Failed" if course.code else "Complete", "status": "True"}
        self._put(JOBS, {**job, "metadata": {**job["metadata"]}, "status": {"conditions": [done]}})

    # ---- requests -----------------------------------------------------------------------------

    def answer(self, method: str, url: str, body: bytes) -> tuple[int, Object]:
        """Answer a request that is no watch."""
        path = urlsplit(url).path
        *_, parent, last = path.split("/")
        kind = last if last in self.kinds else parent
        self.requests[f"{method} {kind}"] += 1
        if path == "/stats":
            return 200, {
                "metadata": {"uid": "stats"},
                "requests": dict(self.requests),
                "most": {name: one.most for name, one in self.kinds.items()},
                "left": {name: len(one.objects) for name, one in self.kinds.items()},
                "largest": self.largest,
                "seconds": self.seconds,
            }
        if kind not in self.kinds:
            return 200, {"metadata": {"resourceVersion": str(self._version)}, "items": []}
        if method == "POST":
            job = json.loads(body)
            self.largest = max(self.largest, len(body))
            if job["metadata"]["name"] in self.kinds[JOBS].objects:
                return 409, _status(409)
            job["metadata"]["uid"] = f"uid-{self._version}"
            self._put(JOBS, job)
            task = asyncio.ensure_future(self._live(job))
            _TASKS.add(task)
            task.add_done_callback(_TASKS.discard)
            return 201, job
        if last in self.kinds:
            items = list(self.kinds[last].objects.values())
            version = {"resourceVersion": str(self._version)}
            return 200, {"kind": "List", "apiVersion": "v1", "metadata": version, "items": items}
        if method == "DELETE":
            self._drop(PODS, f"{last}-x")
            found = self._drop(JOBS, last)
        else:
            found = self.kinds[kind].objects.get(last)
        return (404, _status(404)) if found is None else (200, found)

    def log(self, path: str) -> bytes:
        """Return the log of the agent of a Pod, as the real one has it."""
        self.requests["GET log"] += 1
        pod = self.kinds[PODS].objects[path.split("/")[-2]]
        lines = self.courses[pod["metadata"]["name"]].lines
        return "".join(f"2026-01-01T00:00:00.000000000Z {line}\n" for line in lines).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, url, _ = lines[0].split(" ")
                fields = {k.lower(): v for k, _, v in (one.partition(": ") for one in lines[1:])}
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                query = parse_qs(urlsplit(url).query)
                if query.get("watch") == ["true"]:
                    await self._watch(urlsplit(url).path.rpartition("/")[2], reader, writer)
                    return
                if urlsplit(url).path.endswith("/log"):
                    status, kind, data = 200, "text/plain", self.log(urlsplit(url).path)
                else:
                    status, found = self.answer(method, url, body)
                    kind = "application/json"
                    data = json.dumps(found, separators=(",", ":")).encode()
                writer.write(
                    f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(data)}\r\n\r\n".encode()
                )
                writer.write(data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _watch(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        kind = self.kinds[name]
        self.requests[f"WATCH {name}"] += 1
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        kind.watchers.add(queue)
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        gone = asyncio.ensure_future(reader.read())
        gone.add_done_callback(lambda _: queue.put_nowait(b""))
        try:
            while line := await queue.get():
                writer.write(b"%x\r\n%b\r\n" % (len(line), line))
                await writer.drain()
        finally:
            kind.watchers.discard(queue)
            gone.cancel()


_TASKS: set[asyncio.Future[None]] = set()


def _status(code: int) -> Object:
    reason = {404: "NotFound", 409: "AlreadyExists"}[code]
    return {
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": reason,
    }


async def main(plan: Path) -> None:
    """Serve until the process is ended."""
    server = Server(json.loads(plan.read_text()))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=1 << 22)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
