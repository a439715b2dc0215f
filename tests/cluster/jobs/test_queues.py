"""Jobs wait for their turn in a queue of the real Kueue, which takes it from them, too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from tests.support.cluster.jobs import Jobs
from tests.support.cluster.running import Dag, Done
from tests.support.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.torture(only=True)]
KUEUE = "kueue.x-k8s.io/v1beta2"
WAITS = "the Job waits in queue builds"
MOMENTS = "echo began $(date +%s); sleep 24; echo ended $(date +%s)"

Queued = Callable[..., Jobs]


@pytest.fixture
def queued(jobs: Jobs, queues: Dag) -> Iterator[Queued]:
    """Return what makes the queue `builds`, and builds that have this much of processors in it."""
    name = queues.namespace

    def make(cpu: str, **more: object) -> Jobs:
        amounts = {"cpu": cpu, "memory": "64Gi", "ephemeral-storage": "64Gi"}
        quotas = [{"name": kind, "nominalQuota": amount} for kind, amount in amounts.items()]
        flavors = [{"name": name, "resources": quotas}]
        groups = [{"coveredResources": [*amounts], "flavors": flavors}]
        spec = {"namespaceSelector": {}, "resourceGroups": groups, **more}
        queues.apply(f"{KUEUE}/ResourceFlavor", name)
        queues.apply(f"{KUEUE}/ClusterQueue", name, spec=spec)
        queues.apply(f"{KUEUE}/LocalQueue", "builds", spec={"clusterQueue": name})
        queues.kubectl("wait", "--for=condition=Active", "localqueue/builds", "--timeout=60s")
        return jobs

    yield make
    for running in queues.started:  # else it would make Jobs of which nobody knows
        running.stop()
    queues.kubectl("delete", "jobs", "--all", "--cascade=foreground")


def require_nothing_left(jobs: Jobs, done: Done, code: int) -> None:
    assert done.returncode == code, done.stderr
    assert jobs.jobs() == []
    workloads = ("get", "workloads.kueue.x-k8s.io", "-o", "name")
    eventually(lambda: not jobs.dag.kubectl(*workloads), "Kueue forgets the Jobs", 60)


def most_at_once(jobs: Jobs) -> int:
    """Return how many units were built at once at most, as they have written it down."""
    moments: list[tuple[int, int]] = []
    for log in jobs.store.glob(".dag/runs/*/x86_64/logs/*"):
        for word, change in (("began", 1), ("ended", -1)):
            found = re.search(rf"(?<!echo ){word} (\d+)", log.read_text())
            assert found is not None, log.read_text()
            moments.append((int(found[1]), change))
    built, most = 0, 0
    for _, change in sorted(moments):
        built += change
        most = max(most, built)
    return most


def test_units_are_built_in_their_turn_and_who_waits_is_told_for_what(queued: Queued) -> None:
    jobs = queued("300m")  # a unit takes 100m, and the agent beside it 50m
    missing = jobs.build("--queue=bulids")
    assert missing.returncode == 2, missing.stderr
    assert f"namespace {jobs.dag.namespace} has no queue bulids of Kueue" in missing.stderr
    jobs.define(one=MOMENTS, two=MOMENTS, three=MOMENTS, four=MOMENTS)
    running = jobs.start("--queue=builds")
    running.await_line(rf"(one|two|three|four): {WAITS}: .*insufficient unused quota for cpu")
    require_nothing_left(jobs, running.end(), 0)
    assert {path.parents[1].name for path in jobs.records()} == {"one", "two", "three", "four"}
    assert most_at_once(jobs) == 2
    assert jobs.logs() == ["four.log", "one.log", "three.log", "two.log"]


def test_a_queue_that_stands_still_is_told_and_a_run_that_waits_there_is_cancelled(
    queued: Queued,
) -> None:
    jobs = queued("300m")
    jobs.define(one="echo building; sleep 600")
    jobs.add("two", "one")
    running = jobs.start("--queue=builds")
    jobs.await_build("one")
    hold(jobs, "HoldAndDrain")
    running.await_line(r"one: queue builds has taken back the turn of the Job: .*stopped")
    running.await_line(rf"one: {WAITS}: LocalQueue builds is (stopped|inactive)")
    require_nothing_left(jobs, jobs.elsewhere("cancel"), 0)
    assert running.end().returncode == 130
    jobs.define(one="true")
    later = jobs.start("--queue=builds")
    later.await_line(r"queue builds lets nothing go now: LocalQueue is stopped \(kubectl describe")
    later.await_line(rf"{WAITS}: LocalQueue builds is (stopped|inactive)")
    hold(jobs, "None")
    require_nothing_left(jobs, later.end(), 0)


def hold(jobs: Jobs, policy: str) -> None:
    """Stop the queue by this policy of Kueue, or let it go on."""
    patch = json.dumps({"spec": {"stopPolicy": policy}})
    jobs.dag.kubectl("patch", "localqueue", "builds", "--type=merge", f"--patch={patch}")


def test_a_unit_whose_turn_goes_to_what_is_more_important_is_built_after_it(
    queued: Queued,
) -> None:
    jobs = queued("300m", preemption={"withinClusterQueue": "LowerPriority"})
    jobs.define(one="echo building; sleep 12")
    running = jobs.start("--queue=builds")
    jobs.await_build("one")
    jobs.dag.apply(f"{KUEUE}/WorkloadPriorityClass", jobs.dag.namespace, value=1000)
    urgent(jobs)
    done = running.end()
    require_nothing_left(jobs, done, 0)
    words = "one: queue builds has taken back the turn of the Job: Preempted to accommodate"
    assert words in done.stderr
    assert jobs.logs() == ["one.attempt-2.log", "one.log"]


def urgent(jobs: Jobs) -> None:
    """Make a Job that needs the whole queue for a moment."""
    labels = {
        "kueue.x-k8s.io/queue-name": "builds",
        "kueue.x-k8s.io/priority-class": jobs.dag.namespace,
    }
    amounts = {"cpu": "300m", "memory": "16Mi", "ephemeral-storage": "16Mi"}
    container = {
        "name": "urgent",
        "image": jobs.dag.cluster.base_image,
        "command": ["sleep", "5"],
        "resources": {"requests": amounts},
    }
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "urgent", "labels": labels},
        "spec": {"suspend": True, "template": pod, "ttlSecondsAfterFinished": 0},
    }
    jobs.dag.kubectl("create", "-f", "-", stdin=json.dumps(job))
