"""Measure what a unit costs besides its build on an idle node of a real Kubernetes, beside a bare Job.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/idle.py

On the test cluster, which is started if it is not up, one unit after the other is built as a Job, and
bare Jobs run `true` in the same image. Of a unit that is the time from its Job until `dag` has taken what
is proven and deletes the Job, without the build itself, which the record tells: what comes before and
after it. Of a bare Job it is the time from its Job to its end. All times but the build's are those at
which a watch tells. The medians are compared, and the exit code is 1 over the limit.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from bench.graph import Report  # noqa: E402
from cluster.system import explained  # noqa: E402
from dag.core.jobs.names import JOB_LABEL, PACKAGE_ANNOTATION, jobs_path, pods_path  # noqa: E402
from dag.core.kube.objects import KubeObject, seal  # noqa: E402
from dag.core.pod.manifest import BUILD  # noqa: E402
from dag.core.store.records import decode_record  # noqa: E402
from dag.io.kube.api import Kube  # noqa: E402
from dag.io.kube.kubeconfig import connect  # noqa: E402
from dag.io.kube.watch import ObjectGone, ObjectSeen, watch_objects  # noqa: E402
from examples.layout import lay_out  # noqa: E402
from tests.support.builds import definition  # noqa: E402
from tests.support.cluster.claims import shared_claim  # noqa: E402
from tests.support.cluster.jobs import Jobs  # noqa: E402
from tests.support.cluster.running import Dag  # noqa: E402
from tests.support.cluster.sharing import shared_cluster  # noqa: E402

NAMESPACE = "dag-bench-idle"
ROUNDS = 7
"""How many units, and how many bare Jobs; the first of each, which pulls images, does not count."""


class Times:
    """When a watch told first of what happens to each Job: it is `made`, has `ended`, and is `gone`."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, float]] = {}
        self.units: dict[str, str] = {}
        """The Jobs of units, by package."""
        self.changed = asyncio.Event()

    def note(self, job: str, what: str) -> None:
        """Take note that something has happened to a Job, and when, if that is new."""
        self.of.setdefault(job, {}).setdefault(what, time.monotonic())
        self.changed.set()

    async def follow_jobs(self, kube: Kube) -> None:
        """Note when Jobs come and go."""
        async for change in watch_objects(kube, jobs_path(NAMESPACE)):
            if isinstance(change, ObjectSeen | ObjectGone):
                about = change.item["metadata"]
                if package := about.get("annotations", {}).get(PACKAGE_ANNOTATION):
                    self.units[package] = about["name"]
                self.note(about["name"], "made" if isinstance(change, ObjectSeen) else "gone")

    async def follow_pods(self, kube: Kube) -> None:
        """Note when whole Pods have ended."""
        async for change in watch_objects(kube, pods_path(NAMESPACE)):
            if isinstance(change, ObjectSeen) and change.item["status"]["phase"] == "Succeeded":
                self.note(change.item["metadata"].get("labels", {}).get(JOB_LABEL, ""), "ended")

    async def until(self, job: str, what: str) -> None:
        """Wait until something has happened to a Job."""
        async with asyncio.timeout(120):
            while what not in self.of.get(job, {}):
                await self.changed.wait()
                self.changed.clear()


def bare_job(name: str, image: str) -> KubeObject:
    """Return the manifest of a Job that runs `true`."""
    spec = {
        "restartPolicy": "Never",
        "containers": [{"name": BUILD, "image": image, "command": ["true"]}],
    }
    return seal(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"template": {"spec": spec}},
        }
    )


async def measure(jobs: Jobs) -> tuple[list[float], list[float]]:
    """Return the seconds that units take besides their builds, and those of bare Jobs."""
    kube, times = Kube(connect(str(jobs.dag.cluster.kubeconfig)), lambda _: None), Times()
    watching = [asyncio.create_task(one(kube)) for one in (times.follow_jobs, times.follow_pods)]
    path, bare = jobs_path(NAMESPACE), []
    for number in range(ROUNDS):
        name = f"bare-{number}"
        made = await kube.create_named(path, bare_job(name, jobs.dag.cluster.sdk_image))
        await times.until(name, "ended")
        bare.append(times.of[name]["ended"] - times.of[name]["made"])
        await kube.delete(f"{path}/{name}", uid=made["metadata"]["uid"], dependents=True)
    done = await asyncio.to_thread(jobs.build, "--jobs=1")
    assert done.returncode == 0, done.stderr
    records = [decode_record(file.read_bytes()) for file in jobs.records()]
    units = []
    for record in sorted(records, key=lambda one: times.of[times.units[one.name]]["made"]):
        job = times.units[record.name]
        await times.until(job, "gone")
        units.append(times.of[job]["gone"] - times.of[job]["made"] - record.seconds)
    for task in watching:
        task.cancel()
    await kube.close()
    return units[1:], bare[1:]


@contextmanager
def prepared() -> Iterator[Jobs]:
    """Have a namespace with a claim, and a directory of small units."""
    with shared_cluster() as cluster, tempfile.TemporaryDirectory() as place:
        dag = Dag(cluster, NAMESPACE, Path(place, "runs"))
        try:
            dag.kubectl("create", "namespace", NAMESPACE)
            dag.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=240s")
            permitted = dag("setup", "cluster", "--user=limited")
            assert permitted.returncode == 0, permitted.stderr
            with shared_claim(dag) as store:
                jobs = Jobs(dag, store, lay_out(Path(place, "definitions")))
                for old in jobs.directory.glob("*.yaml"):
                    old.unlink()
                names = [f"unit-{number}" for number in range(ROUNDS)]
                jobs.write({name: definition(name) for name in names})
                yield jobs
        finally:
            for running in dag.started:
                running.stop()
            dag.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def main() -> None:
    report = Report()
    with prepared() as jobs:
        units, bare = asyncio.run(measure(jobs))
    unit, one = statistics.median(units), statistics.median(bare)
    words = f"{unit:.2f} s besides its build, and {one:.2f} s"
    report.line("a unit on an idle node beside a bare Job", unit / one, 2.5, "x", words)
    raise SystemExit(report.failed)


if __name__ == "__main__":
    sys.exit(explained(main))
