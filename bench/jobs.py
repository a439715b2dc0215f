"""Measure what a build as Jobs costs at scale: the real runner and engine, and a stand-in for a cluster.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/jobs.py

A distribution of 3,400 definitions, whose cycles an index opens, is built with 64 and with 512 units at
once. How long a unit takes is drawn by a seed. The API server is a process on loopback that ends Pods by
itself (tests/support/standins/jobserver.py), so all that takes time besides is `dag`'s own, and the
server's. The makespan is compared with a bound that no scheduler can beat: max(critical path, work /
slots after the time before which none of it can begin, units ÷ the rate at which the same server and
client take bare Jobs), with the durations that the Pods of the same run had. Then generated units, four
times as many, tell by which exponent the processor time grows. The exit code is 1 over a limit.

On a machine that is slow or busy, $DAG_BENCH_SECONDS has a unit take longer than 4 s on average, and
$DAG_BENCH_UNITS makes the larger generated distribution smaller than 20,000.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from bench.graph import Report  # noqa: E402
from cluster.system import explained  # noqa: E402
from dag.core.arch import Arch  # noqa: E402
from dag.core.build.estimate import estimate  # noqa: E402
from dag.core.build.events import Action, ComputeResources, Event, Start, Unit  # noqa: E402
from dag.core.build.scheduler import Scheduler  # noqa: E402
from dag.core.build.states import RunLimits  # noqa: E402
from dag.core.jobs.manifest import unit_job  # noqa: E402
from dag.core.jobs.names import jobs_path, pods_path  # noqa: E402
from dag.core.jobs.options import UnitBuildOptions  # noqa: E402
from dag.core.kube.objects import KubeObject, seal  # noqa: E402
from dag.core.package.apk import archive_of  # noqa: E402
from dag.core.store.records import Record  # noqa: E402
from dag.io.build.journal import Journal  # noqa: E402
from dag.io.kube.api import Kube  # noqa: E402
from dag.io.kube.kubeconfig import connect  # noqa: E402
from dag.io.kube.watch import ObjectSeen, watch_objects  # noqa: E402
from dag.io.package.definitions import read  # noqa: E402
from dag.io.store.local import Store  # noqa: E402
from dag.report.terminal import Terminal  # noqa: E402
from dag.run.build.builder import Builder  # noqa: E402
from dag.run.build.engine import Engine  # noqa: E402
from dag.run.build.planning import plan_in  # noqa: E402
from dag.run.build.resolving import UnitResolver  # noqa: E402
from dag.run.build.serving import PackageServer  # noqa: E402
from dag.run.build.session import Build  # noqa: E402
from dag.run.jobs.orders import make_orders  # noqa: E402
from dag.run.jobs.runner import JobRunner  # noqa: E402
from tests.support.bounds import bound_of_late_work  # noqa: E402
from tests.support.distributions import TODAY, unpacked  # noqa: E402
from tests.support.orders import SETTINGS, order  # noqa: E402
from tests.support.standins.jobruns import (  # noqa: E402
    GeneratedOrders,
    GeneratedUnits,
    answer,
    serving,
)

ARCH = Arch.parse("x86_64")
SECONDS = float(os.environ.get("DAG_BENCH_SECONDS", "4"))
"""How long a unit takes on average."""
MANY = int(os.environ.get("DAG_BENCH_UNITS", "20000"))
BARE = 400
"""How many bare Jobs tell the rate."""


class Stopwatch:
    """The processor time of this process from the end of a Pod to the Jobs that it let go.

    One end lets up to hundreds of units go, whose Jobs are made one after the other. So the time until
    a Job is made is divided by how many were made in that time.
    """

    def __init__(self) -> None:
        self.bursts: list[tuple[float, int]] = []
        """The seconds until each Job was made, and how many Jobs were made in them."""
        self._made = 0
        self._ended: dict[str, tuple[float, int]] = {}
        self._since: dict[str, tuple[float, int]] = {}

    def end(self, package: str) -> None:
        """Take note that the news of a Pod's end has come."""
        self._ended.setdefault(package, (time.process_time(), self._made))

    def observe(self, event: Event, actions: Sequence[Action], now: float) -> None:
        """Take note of which end let which units go."""
        ended = self._ended.get(getattr(event, "key", ""))
        if ended is not None:
            self._since |= {one.key: ended for one in actions if isinstance(one, Start)}

    def look_at_clock(self, now: float) -> None:
        """Take note of nothing."""

    def post(self, package: str) -> None:
        """Take note that the request of a Job has been made."""
        self._made += 1
        if (since := self._since.pop(package, None)) is not None:
            began, made = since
            self.bursts.append((time.process_time() - began, self._made - made))


Measure = TypeVar("Measure", float, tuple[float, int])


def p99(measured: Sequence[Measure]) -> Measure:
    """Return what 99 of 100 are below."""
    return sorted(measured)[int(len(measured) * 0.99)]


class TimedKube(Kube):
    """The client, whose requests are timed."""

    watch: Stopwatch

    async def create_named(self, path: str, manifest: KubeObject, **more: float) -> KubeObject:
        """Make a Job."""
        made = await super().create_named(path, manifest, **more)
        self.watch.post(manifest["metadata"]["annotations"].get("dag/package", ""))
        return made


class TimedRunner(JobRunner):
    """The runner, which tells when an attempt's Pod has ended."""

    watch: Stopwatch

    async def _record(self, pod: Any, answer: Any) -> Record:  # noqa: ANN401  # as the base has it
        self.watch.end(pod["metadata"]["annotations"]["dag/package"])
        return await super()._record(pod, answer)


# ---- what is built --------------------------------------------------------------------------------


def drawn(units: Sequence[Unit], mean: float = SECONDS) -> list[Unit]:
    """Return units whose durations are drawn: most are short, and some take much longer."""
    rng = random.Random(17)
    each = [0.0 if unit.is_gate else rng.lognormvariate(0, 1) for unit in units]
    scale = mean * sum(not unit.is_gate for unit in units) / sum(each)
    return [replace(unit, seconds=one * scale) for unit, one in zip(units, each, strict=True)]


def distribution(place: Path) -> Build:
    """Return the plan of a whole distribution, with an older package of everything in an index."""
    directory, index = unpacked(TODAY), place / "repository" / ARCH.apk
    index.mkdir(parents=True)
    (place / "store").mkdir()
    names = {
        name
        for one in read(directory, arch=ARCH.apk)
        for name in (one.name, *(sub.name for sub in one.subpackages))
    }
    lines = "C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:{}\nV:0-r0\nA:x86_64\nS:1\nI:1\nT:t\n"
    (index / "APKINDEX.tar.gz").write_bytes(archive_of(map(lines.format, sorted(names))))
    options = UnitBuildOptions(
        directory=str(directory),
        repositories=(str(index.parent),),
        store=str(place / "store"),
    )
    store = Store(place / "store", ARCH)
    return plan_in(store, options, lambda _: None, Builder(RunLimits(jobs=1), "image", "store"))


def generated(count: int) -> list[Unit]:
    """Return units of which each needs two of those before it."""
    rng = random.Random(5)
    return [
        Unit(f"p{n}", tuple({f"p{rng.randrange(n)}" for _ in range(min(n, 2))}))
        for n in range(count)
    ]


# ---- the run --------------------------------------------------------------------------------------


BARE_POD: KubeObject = {
    "metadata": {"labels": {}},
    "spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "build", "image": "x", "command": ["true"]}],
    },
}


async def bare_rate(
    kube: Kube, slots: int, namespace: str = SETTINGS.namespace, pod: KubeObject = BARE_POD
) -> float:
    """Return how many bare Jobs a second the client makes, sees end, and deletes."""
    path = jobs_path(namespace)
    ended: dict[str, asyncio.Event] = {f"bare-{n}": asyncio.Event() for n in range(BARE)}

    async def follow() -> None:
        async for change in watch_objects(kube, pods_path(namespace)):
            if isinstance(change, ObjectSeen) and change.item["status"]["phase"] == "Succeeded":
                ended[change.item["metadata"]["labels"]["batch.kubernetes.io/job-name"]].set()

    async def one(name: str) -> None:
        async with room:
            manifest = seal(
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "metadata": {"name": name, "labels": {}, "annotations": {}},
                    "spec": {"template": pod},
                }
            )
            made = await kube.create_named(path, manifest)
            await ended[name].wait()
            uid = made["metadata"]["uid"]
            await kube.delete(f"{path}/{name}", uid=uid, dependents=True)

    room, watching = asyncio.Semaphore(slots), asyncio.create_task(follow())
    await asyncio.sleep(0.5)  # the watch is there
    began = time.monotonic()
    await asyncio.gather(*map(one, ended))
    taken = time.monotonic() - began
    watching.cancel()
    return BARE / taken


async def drive(config: str, build: Build | None, units: list[Unit], slots: int) -> dict[str, Any]:
    """Run units as Jobs, and return what that took."""
    kube = TimedKube(connect(config), lambda _: None)
    kube.watch = watch = Stopwatch()
    began = time.process_time()
    bare_seconds = 1 / await bare_rate(kube, slots)
    bare_cpu = (time.process_time() - began) / BARE
    before = await kube.get("/stats")
    runner: TimedRunner
    if build is None:
        parts: tuple[Any, Any] = (GeneratedUnits(), GeneratedOrders())
    else:
        resolver = UnitResolver(build)
        server = PackageServer(
            repositories=build.basis.repositories, named={}, arch=ARCH, melange="melange",
            public_key="melange.rsa.pub", bypass="",
        )  # fmt: skip
        parts = (resolver, make_orders(build.basis, resolver, server, SETTINGS.run, confined=True))
    runner = TimedRunner(kube, SETTINGS, *parts, Terminal(verbosity=0))
    runner.watch = watch
    with tempfile.TemporaryDirectory() as place, Journal(Path(place, "journal")) as journal:
        engine = Engine(Scheduler(units, RunLimits(jobs=slots)), runner, journal, [watch])
        used, began = time.process_time(), time.monotonic()
        await engine.run()
        makespan, used = time.monotonic() - began, time.process_time() - used
    after = await kube.get("/stats")
    await kube.close()
    count = sum(not unit.is_gate for unit in units)
    assert len(runner.finished) == count, engine.scheduler.counts
    taken = [replace(one, seconds=after["seconds"].get(one.key, 0.0)) for one in units]
    told = estimate(taken, RunLimits(jobs=slots))
    asked = sum(after["requests"].values()) - sum(before["requests"].values()) - 1
    return {
        "count": count,
        "makespan": makespan,
        "path": told.path_seconds,
        "share": told.work / slots,
        "late": bound_of_late_work(taken, slots),
        "bare": count * bare_seconds,
        "cpu": used,
        "each": p99([seconds / made for seconds, made in watch.bursts]),
        "burst": p99(watch.bursts),
        "bare_cpu": bare_cpu,
        "requests": asked / count,
        "most": after["most"],
        "left": after["left"],
        "largest": after["largest"],
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def run_here(slots: int, count: int) -> dict[str, Any]:
    """Run the distribution, or `count` generated units, and return what that took."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        build = None if count else distribution(place)
        units = generated(count) if build is None else drawn(build.plan.units)
        made = {one.name: one for one in build.basis.graph.packages} if build else {}
        plan = {}
        for unit in units:
            if not unit.is_gate:
                package = made.get(unit.key)
                subs = [one.name for one in package.subpackages] if package else []
                version = package.full_version if package else "1-r0"
                plan[unit.key] = (unit.seconds, *answer(unit.key, version, [unit.key, *subs]))
        with serving(place, plan) as config:
            return asyncio.run(drive(config, build, units, slots))


def run_apart(slots: int, count: int = 0) -> dict[str, Any]:
    """Do so in a process of its own, whose memory tells."""
    words = [sys.executable, __file__, str(slots), str(count)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# ---- the report -----------------------------------------------------------------------------------


def scale(report: Report, slots: int) -> None:
    found = run_apart(slots)
    bound = max(found["path"], found["late"], found["bare"])
    words = (
        f"{found['makespan']:.1f} s; path {found['path']:.1f} s, work / slots {found['share']:.1f} s,"
        f" with what can begin only late {found['late']:.1f} s,"
        f" at the rate of bare Jobs {found['bare']:.1f} s"
    )
    report.line(
        f"{found['count']:,} units as Jobs, {slots} at once",
        found["makespan"] / bound,
        1.05,
        "x",
        words,
    )
    # One end can let hundreds of units go: the last of them waits until the others have their Jobs.
    waited, made = found["burst"]
    report.line(
        "  own processor time, event to Job, p99",
        found["each"] * 1000,
        50,
        "ms",
        f"for each Job made meanwhile; as a whole {waited * 1000:.0f} ms, in which {made} were made;"
        f" a bare Job: {found['bare_cpu'] * 1000:.1f} ms",
    )
    report.line("  own processor time, a unit", found["cpu"] / found["count"] * 1000, 20, "ms")
    report.line("  requests, a unit", found["requests"], 4, "")
    report.line("  memory of the client", found["memory"], 300, "MiB")
    report.line("  Jobs there at once, a slot", found["most"]["jobs"] / slots, 1.25, "x")
    report.line("  Jobs and Pods left", sum(found["left"].values()), 0, "")
    report.line("  the largest Job", found["largest"] / 1024, 64, "KiB")


def growth(report: Report) -> None:
    """Compare the processor time of many generated units with that of a quarter of them."""
    few, many = run_apart(512, MANY // 4), run_apart(512, MANY)
    exponent = math.log(many["cpu"] / few["cpu"]) / math.log(many["count"] / few["count"])
    words = f"{few['cpu']:.1f} s, then {many['cpu']:.1f} s; {many['memory']:.0f} MiB"
    report.line(f"{MANY:,} generated units: exponent", exponent, 1.05, "", words)
    report.line("  requests, a unit", many["requests"], 4, "")


def size(report: Report) -> None:
    """Tell how large the Job of a unit is that has hundreds of packages in its environment."""
    job = unit_job(SETTINGS, order(given=600, served=0), ComputeResources(1000, 1 << 30))
    report.line(
        "a Job with 600 packages in its environment", len(json.dumps(job)) / 1024, 64, "KiB"
    )


def main() -> None:
    report = Report()
    size(report)
    for slots in (64, 512):
        scale(report, slots)
    growth(report)
    raise SystemExit(report.failed)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(run_here(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        sys.exit(explained(main))
