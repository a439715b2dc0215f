"""Whatever the cluster does to units and their store is named as what it was, and the run converges."""

from __future__ import annotations

import pytest

from tests.support.cluster.admission import refusing
from tests.support.cluster.jobs import Jobs
from tests.support.cluster.running import Done

pytestmark = pytest.mark.cluster
SLOW = "echo building; sleep 12"


def require_converged(jobs: Jobs, done: Done, *packages: str) -> None:
    """Hold a run to its promise: everything is there, and nothing else is left in the cluster."""
    assert done.returncode == 0, done.stderr
    assert {path.parents[1].name for path in jobs.records()} == set(packages)
    assert {path.name for path in (jobs.store / "x86_64").glob("*.apk")} == {
        f"{name}-1-r0.apk" for name in packages
    }
    assert jobs.jobs() == []


def test_what_quota_and_admission_refuse_is_told_and_built_when_they_permit_it(jobs: Jobs) -> None:
    jobs.define(fine="true", refused="true")
    jobs.add("large", extra="  resources:\n    memory: 3Gi\n")
    jobs.dag.apply("ResourceQuota", "small", spec={"hard": {"limits.memory": "2Gi"}})
    jobs.dag.limit(memory="256Mi")
    with refusing(jobs.dag, "refused", "no such package on this cluster"):
        running = jobs.start("--max-ram=4Gi")
        running.await_line(r"large: the Job cannot make its pod: .*exceeded quota: small", 240)
        running.await_line(r"refused: the Job cannot make its pod: .*no such package on this", 60)
    jobs.dag.kubectl("delete", "resourcequota", "small")
    require_converged(jobs, running.end(240), "fine", "large", "refused")
    # It was waited for, and nothing was tried again.
    assert jobs.logs() == ["fine.log", "large.log", "refused.log"]


def test_a_volume_that_cannot_be_mounted_is_told_and_mounted_when_it_can(jobs: Jobs) -> None:
    jobs.define(first=SLOW)
    jobs.add("second", "first")
    running = jobs.start()
    jobs.await_build("first")
    # What is mounted already stays so.
    away = jobs.store.rename(jobs.store.with_name(f"{jobs.store.name}-away"))
    running.await_line(r"second: FailedMount: .*is not a directory", 240)
    away.rename(jobs.store)
    require_converged(jobs, running.end(240), "first", "second")
    assert jobs.logs() == ["first.log", "second.log"]


def test_pods_that_are_evicted_or_drained_are_built_again(jobs: Jobs) -> None:
    jobs.define(evicted=SLOW, drained=SLOW)
    running = jobs.start()
    evicted, drained = (jobs.await_build(name) for name in ("evicted", "drained"))
    jobs.dag.evict(evicted["metadata"]["name"])
    chosen = f"--pod-selector=job-name={drained['metadata']['labels']['job-name']}"
    node = drained["spec"]["nodeName"]
    try:
        jobs.dag.kubectl("drain", node, chosen, "--force", "--delete-emptydir-data")
    finally:
        jobs.dag.kubectl("uncordon", node)
    done = running.end(240)
    require_converged(jobs, done, "evicted", "drained")
    for name, pod in (("evicted", evicted), ("drained", drained)):
        where = pod["spec"]["nodeName"]
        assert f"{name}: the pod was evicted (a drain of node {where}?)" in done.stderr
        assert f"{name}.attempt-2.log" in jobs.logs()


def test_a_build_over_its_share_of_the_disk_is_evicted_and_tried_again(jobs: Jobs) -> None:
    jobs.dag.limit(ephemeral_storage="300Mi")
    jobs.define(full="[ -e /tmp/x ] || fallocate -l 900M /tmp/x; sleep 60")
    running = jobs.start()
    words = running.await_line(r"full: the node evicted the pod: .*", 240)[0]
    assert "exceeds the total limit of containers 600Mi" in words
    jobs.dag.limit(ephemeral_storage="2Gi")
    require_converged(jobs, running.end(240), "full")


def test_a_store_that_nobody_may_write_is_named_before_anything_is_built(jobs: Jobs) -> None:
    jobs.define(one="true")
    jobs.store.chmod(0o755)
    done = jobs.build()
    assert done.returncode == 3, done.stderr
    assert "the agent could not tell what the store has: " in done.stderr
    assert "Permission denied" in done.stderr
    assert jobs.jobs() == []


def test_a_store_that_refuses_what_was_built_is_told_and_tried_until_it_takes_that(
    jobs: Jobs,
) -> None:
    jobs.define(one=SLOW)
    running = jobs.start()
    jobs.await_build("one")
    places = [path for path in (jobs.store, *jobs.store.rglob("*")) if path.is_dir()]
    modes = {path: path.stat() for path in places}
    for path in places:
        path.chmod(0o555)
    running.await_line(r"one: the store cannot be written, trying again: .*Permission denied", 120)
    for path, mode in modes.items():
        path.chmod(mode.st_mode & 0o777)
    require_converged(jobs, running.end(120), "one")
    assert jobs.logs() == ["one.log"]


@pytest.mark.usefixtures("alone")
def test_a_lost_node_costs_no_package_and_keeps_no_pod(jobs: Jobs) -> None:
    jobs.define(one="echo building; sleep 40")
    running = jobs.start()
    node = jobs.await_build("one")["spec"]["nodeName"]
    jobs.dag.cluster.stop_node(node)
    try:
        running.await_line(rf"one: node {node} stopped answering", 120)
        done = running.end(240)
    finally:
        jobs.dag.cluster.start_node(node)
    # The node is lost to Kubernetes alone: what runs there may still come to its end, and counts then.
    require_converged(jobs, done, "one")
    assert "building one 1-r0 (attempt 2)" in done.stderr
    jobs.dag.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=100s")


@pytest.mark.usefixtures("alone")
def test_an_api_server_that_starts_again_costs_nothing(jobs: Jobs) -> None:
    jobs.define(one=SLOW)
    jobs.add("two", "one")
    running = jobs.start()
    jobs.await_build("one")
    jobs.dag.cluster.restart_apiserver()
    require_converged(jobs, running.end(240), "one", "two")
    assert jobs.logs() == ["one.log", "two.log"]
