"""A detached build is driven by a Job of its own, whatever becomes of the client and of that Job's Pod."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.cluster.jobs import Jobs
from tests.support.cluster.running import Running
from tests.support.schema import checked
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster


def detach(jobs: Jobs, *more: str) -> dict[str, str]:
    begun = jobs.build("--detach", "--json", *more)
    assert begun.returncode == 0, begun.stderr
    return {**checked(begun.stdout, "detached")}


def attach(jobs: Jobs, directory: Path, *more: str) -> Running:
    """Begin to follow a run on a machine that has nothing but the kubeconfig."""
    directory.mkdir(exist_ok=True)
    config = f"--kubeconfig={jobs.dag.cluster.limited_kubeconfig}"
    here = jobs.dag.environment
    jobs.dag.environment = {**here, "XDG_CACHE_HOME": jobs.another()}
    words = ("attach", "--dir", str(directory), config, f"--store={jobs.url}", *more)
    running = jobs.dag.run("dag", *words)
    jobs.dag.environment = here
    return running


def driver_pods(jobs: Jobs, job: str) -> list[str]:
    found = json.loads(jobs.dag.kubectl("get", "pods", "-l", f"job-name={job}", "-o", "json"))
    return [one["metadata"]["name"] for one in found["items"]]


def test_a_build_goes_on_without_its_client_and_its_first_driver(
    jobs: Jobs, tmp_path: Path
) -> None:
    jobs.define(first="echo it is quick")
    jobs.add("slow", "first", runs="echo it has begun; sleep 30")
    jobs.add("third", "slow")
    jobs.add("broken", "first", runs="exit 1")
    begun = detach(jobs)
    looking = attach(jobs, tmp_path / "elsewhere")
    jobs.await_build("slow", "it has begun")
    looking.await_line(r"building slow 1-r0")
    looking.signal(signal.SIGINT)
    left = looking.end()
    assert left.returncode == 130
    assert f"`dag attach {begun['run']}` follows it, `dag cancel" in left.stderr
    (pod,) = driver_pods(jobs, begun["job"])
    jobs.dag.kubectl("delete", "pod", pod)
    same = jobs.build("--detach")
    assert same.returncode == 0, same.stderr
    assert (
        f"run {begun['run']} is driven in the cluster already, by job {begun['job']}" in same.stderr
    )
    done = attach(jobs, tmp_path / "elsewhere", "--json").end(400)
    assert done.returncode == 1, done.stderr
    units = checked(done.stdout, "result")["units"]
    states = {one["name"]: one["state"] for one in units}
    # The definitions are not where it is followed.
    assert {one["file"] for one in units} == {f"{name}.yaml" for name in states}
    assert (states["third"], states["broken"]) == ("done", "failed")
    assert "building third 1-r0" in done.stderr
    assert driver_pods(jobs, begun["job"]) not in ([], [pod])
    # What was built before the driver was another one is not built again.
    assert jobs.logs() == ["broken.log", "first.log", "slow.log", "third.log"]
    assert len(jobs.records()) == 3
    # Who follows has the key of the store, so all of it is published.
    assert {path.name for path in (jobs.store / "x86_64").glob("*.apk")} == {
        f"{name}-1-r0.apk" for name in ("first", "slow", "third")
    }
    assert (jobs.store / "x86_64/APKINDEX.tar.gz").exists()


def test_a_detached_build_is_cancelled_with_its_driver(jobs: Jobs) -> None:
    jobs.define(first="echo it is quick")
    jobs.add("slow", "first", runs="echo it has begun; sleep 200")
    jobs.add("third", "slow")
    begun = detach(jobs)
    early = jobs.elsewhere("logs", begun["run"], "third")
    assert early.returncode == 2
    not_begun = f"run {begun['run']} is under way, and third has not begun in it"
    assert early.stderr.startswith(f"dag: {not_begun}\nhint: `dag logs -f` waits for it")
    jobs.await_build("slow", "it has begun")
    assert "it is quick" in jobs.elsewhere("logs", begun["run"], "first").stdout
    status = jobs.elsewhere("status")
    assert status.returncode == 0, status.stderr
    assert f"`dag attach {begun['run']}` follows it" in status.stdout
    cancelled = jobs.elsewhere("cancel", begun["run"])
    assert cancelled.returncode == 0, cancelled.stderr
    assert f"is asked to end run {begun['run']}" in cancelled.stderr
    assert jobs.jobs() == []
    eventually(lambda: not jobs.dag.pods(), "all pods are gone", 240)
    assert {one.parts[-3] for one in jobs.records()} == {"first"}
