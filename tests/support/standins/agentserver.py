"""A cluster of a test's own whose agents say what the test has them say: Jobs, their Pods, and a Lease."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from dag.core.jobs.listing import StoreListing, encode_listing
from dag.core.store.layout import publication_name, record_name
from dag.core.store.publication import Publication, encode_publication
from dag.core.store.records import Built, Record, encode_record
from tests.support.apks import told
from tests.support.leases import OneLease
from tests.support.orders import SETTINGS, digest
from tests.support.standins.jobserver import JOBS, Course, Object, Server

_NEVER = 3600.0


class AgentServer(Server):
    """The server: what it does with Leases is that of a test's one Lease."""

    def __init__(self) -> None:
        super().__init__()
        self.lease = OneLease()
        self.answers: dict[str, list[Course]] = {}
        """What agents of a command do, one after another; the last one is that of all later ones."""
        self.asked: list[list[str]] = []
        """The words of each agent."""
        self.deleted: list[str] = []
        """The Jobs that somebody has deleted."""
        self.units: list[str] = []
        """The Jobs of units."""
        self.before_unit: Callable[[], object] = lambda: None
        """What happens as soon as such a Job is there."""
        self.url = ""

    def course(self, job: Object) -> Course:
        """Return what the agent of a Job does; one that builds a unit never ends."""
        if "dag/package" in job["metadata"]["annotations"]:
            self.units.append(job["metadata"]["name"])
            self.before_unit()
            return Course(seconds=_NEVER)
        (container,) = job["spec"]["template"]["spec"]["containers"]
        self.asked.append(container["args"])
        there = self.answers[container["args"][0]]
        return there.pop(0) if len(there) > 1 else there[0]

    def words(self, command: str) -> list[list[str]]:
        """Return the words of each agent of a command."""
        return [one for one in self.asked if one[0] == command]

    def add_job(self, job: Object) -> None:
        """Let there be a Job that nobody has asked for, without a Pod."""
        self._put(JOBS, job)

    def answer(self, method: str, url: str, body: bytes) -> tuple[int, Object]:
        """Answer a request that is no watch."""
        if "/leases" in url:
            return self.lease.answer(method, body)
        if method == "DELETE":
            self.deleted.append(url.partition("?")[0].rpartition("/")[2])
        return super().answer(method, url, body)


def listing(prints: Mapping[str, str], *, published: Iterable[str] = ()) -> Course:
    """Return what an agent tells of a store that has units of these fingerprints, and publishes some."""
    arch = SETTINGS.arch.apk
    records = {
        name: Record(
            name=name, version="1-r0", key="0" * 64, fingerprint=fingerprint, seconds=0,
            built=(Built(apk=told(name, sha256=digest(len(name)).hex())),),
        )
        for name, fingerprint in prints.items()
    }  # fmt: skip
    objects = {record_name(arch, one): encode_record(one) for one in records.values()}
    for name in published:
        one = records[name]
        sizes = {f"{name}-1-r0.apk": 1}
        kept = Publication(name=name, version="1-r0", key=one.key, result=one.result, sizes=sizes)
        objects[publication_name(arch, name, "1-r0")] = encode_publication(kept)
    return Course(lines=encode_listing(StoreListing(objects=objects)))


@contextmanager
def agents_served() -> Iterator[AgentServer]:
    """Run the server in a thread of its own."""
    server, started = AgentServer(), threading.Event()
    loop, ended = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=1 << 22)
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        started.set()
        await ended.wait()
        listening.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
