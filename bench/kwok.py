"""Measure a build as Jobs on a real Kubernetes whose nodes are simulated, beside bare Jobs.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/kwok.py

The API server, etcd, the controllers and the scheduler are those of the test cluster, which is started
if it is not up. KWOK has the nodes: annotations say how long a Pod takes, and what its agent answers.
All else is real: generated units are built by the runner and the engine of `dag`. The makespan is
compared with a bound that no scheduler can beat: max(critical path, work / slots after the time before
which none of it can begin, units ÷ the rate at which the same cluster and client take bare Jobs), with
the durations of the same run, from a Job's request to the news of its Pod's end. The exit code is 1
over a limit.

$DAG_BENCH_UNITS takes other than 500 units, $DAG_BENCH_SECONDS has one take longer than 8 s on average.
"""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from bench.graph import Report  # noqa: E402
from bench.jobs import BARE_POD, bare_rate, drawn, generated  # noqa: E402
from cluster import Cluster, kwok  # noqa: E402
from cluster.system import explained  # noqa: E402
from dag.core.build.estimate import estimate  # noqa: E402
from dag.core.build.events import Unit  # noqa: E402
from dag.core.build.scheduler import Scheduler  # noqa: E402
from dag.core.build.states import RunLimits  # noqa: E402
from dag.core.jobs.names import PACKAGE_ANNOTATION, jobs_path  # noqa: E402
from dag.core.kube.objects import KubeObject  # noqa: E402
from dag.core.pod.scheduling import NodeLabel, SchedulingOptions, Toleration  # noqa: E402
from dag.core.store.buckets import Bucket  # noqa: E402
from dag.core.store.records import Record  # noqa: E402
from dag.io.build.journal import Journal  # noqa: E402
from dag.io.kube.api import Kube  # noqa: E402
from dag.io.kube.kubeconfig import connect  # noqa: E402
from dag.report.terminal import Terminal  # noqa: E402
from dag.run.build.engine import Engine  # noqa: E402
from dag.run.jobs.runner import JobRunner  # noqa: E402
from tests.support.bounds import bound_of_late_work  # noqa: E402
from tests.support.cluster.sharing import holding, shared_cluster  # noqa: E402
from tests.support.orders import SETTINGS  # noqa: E402
from tests.support.standins.jobruns import GeneratedOrders, GeneratedUnits, answer  # noqa: E402

UNITS = int(os.environ.get("DAG_BENCH_UNITS", "500"))
SECONDS = float(os.environ.get("DAG_BENCH_SECONDS", "8"))
SLOTS = 64
NODES = 4
NAMESPACE = "dag-bench-kwok"
LABEL, VALUE = kwok.LABEL.split("=")
JOBS = dataclasses.replace(
    SETTINGS,
    namespace=NAMESPACE,
    service_account="default",
    store=Bucket.parse("gs://simulated"),  # a claim would have to be bound
    scheduling=SchedulingOptions(
        node_labels=(NodeLabel(LABEL, VALUE),), tolerations=(Toleration(kwok.TAINT),)
    ),
)


class TimedKube(Kube):
    """The client, which says how each simulated Pod ends, and notes when its Job was asked for."""

    plan: dict[str, Unit]
    began: dict[str, float]
    requests = 0

    async def create_named(self, path: str, manifest: KubeObject, **more: float) -> KubeObject:
        """Make a Job."""
        package = manifest["metadata"]["annotations"].get(PACKAGE_ANNOTATION)
        if package is None:
            return await super().create_named(path, manifest, **more)
        template = manifest["spec"]["template"]
        ends = {
            "kwok/duration": f"{self.plan[package].seconds:.3f}s",
            "kwok/message": answer(package, "1-r0", [package])[0],
        }
        about = {**template["metadata"], "annotations": template["metadata"]["annotations"] | ends}
        job = {**manifest["spec"], "template": {**template, "metadata": about}}
        self.began[package] = time.monotonic()
        return await super().create_named(path, {**manifest, "spec": job}, **more)

    async def _once(self, method: str, path: str, **more: Any) -> KubeObject:  # noqa: ANN401  # as the base has it
        self.requests += 1
        return await super()._once(method, path, **more)


class TimedRunner(JobRunner):
    """The runner, which notes how long each attempt took, until its Pod's end was heard of."""

    began: dict[str, float]
    seconds: dict[str, float]

    async def _record(self, pod: Any, answer: Any) -> Record:  # noqa: ANN401  # as the base has it
        package = pod["metadata"]["annotations"][PACKAGE_ANNOTATION]
        self.seconds[package] = time.monotonic() - self.began[package]
        return await super()._record(pod, answer)


@contextmanager
def simulated() -> Iterator[Cluster]:
    """Have the test cluster with simulated nodes and a namespace; tests wait for these nodes."""
    with shared_cluster() as cluster, holding("cluster-kwok.lock", fcntl.LOCK_EX):
        try:
            kwok.up(cluster, NODES)
            cluster.run_kubectl("create", "namespace", NAMESPACE)
            yield cluster
        finally:
            cluster.run_kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
            kwok.down(cluster)


async def drive(cluster: Cluster, units: list[Unit]) -> dict[str, float]:
    """Run units as Jobs, and return what that took."""
    kube = TimedKube(connect(str(cluster.kubeconfig)), lambda _: None)
    kube.plan, kube.began = {one.key: one for one in units}, {}
    marks = {"labels": {}, "annotations": {"kwok/duration": "0s"}}
    places = {
        "nodeSelector": {LABEL: VALUE},
        "tolerations": [{"key": kwok.TAINT, "operator": "Exists"}],
    }
    pod = {"metadata": marks, "spec": {**BARE_POD["spec"], **places}}
    rate = await bare_rate(kube, SLOTS, NAMESPACE, pod)
    parts: tuple[Any, Any] = (GeneratedUnits(), GeneratedOrders())
    runner = TimedRunner(kube, JOBS, *parts, Terminal(verbosity=0))
    runner.began, runner.seconds, kube.requests = kube.began, {}, 0
    with tempfile.TemporaryDirectory() as place, Journal(Path(place, "journal")) as journal:
        engine = Engine(Scheduler(units, RunLimits(jobs=SLOTS)), runner, journal, [])
        used, began = time.process_time(), time.monotonic()
        await engine.run()
        makespan, used = time.monotonic() - began, time.process_time() - used
    requests, left = kube.requests, len(await kube.items(jobs_path(NAMESPACE)))
    await kube.close()
    assert len(runner.finished) == len(units), engine.scheduler.counts
    taken = [replace(one, seconds=runner.seconds[one.key]) for one in units]
    told = estimate(taken, RunLimits(jobs=SLOTS))
    return {
        "makespan": makespan,
        "path": told.path_seconds,
        "late": bound_of_late_work(taken, SLOTS),
        "bare": len(units) / rate,
        "cpu": used,
        "requests": requests / len(units),
        "left": left,
    }


def main() -> None:
    report = Report()
    with simulated() as cluster:
        found = asyncio.run(drive(cluster, drawn(generated(UNITS), SECONDS)))
    words = (
        f"{found['makespan']:.1f} s; path {found['path']:.1f} s, work / slots"
        f" {found['late']:.1f} s, at the rate of bare Jobs {found['bare']:.1f} s"
    )
    bound = max(found["path"], found["late"], found["bare"])
    what = f"{UNITS:,} units on simulated nodes, {SLOTS} at once"
    report.line(what, found["makespan"] / bound, 1.05, "x", words)
    report.line("  own processor time, a unit", found["cpu"] / UNITS * 1000, 20, "ms")
    report.line("  requests, a unit", found["requests"], 4, "")
    report.line("  Jobs left", found["left"], 0, "")
    raise SystemExit(report.failed)


if __name__ == "__main__":
    sys.exit(explained(main))
