"""Ctrl-C and SIGTERM at any moment leave nothing behind, and the exit code is 130."""

from __future__ import annotations

from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest

from tests.support.cluster.running import Dag, Running, definitions, job
from tests.support.faults import FaultProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster


def interrupted(dag: Dag, command: Running) -> None:
    """Check that the command ended as it should, and that its pod is gone."""
    done = command.end()
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert dag.pods() == []


def test_a_stop_while_the_bundle_is_pushed_leaves_no_pod(dag: Dag, tmp_path: Path) -> None:
    with FaultProxy(f"http://{dag.cluster.registry}") as registry:
        stalled = registry.on("PUT", times=None).stall()
        repository = f"{registry.url.removeprefix('http://')}/{dag.namespace}"
        command = dag.start(definitions(tmp_path / "d"), "--bundle-repo", repository)
        stalled.wait()
        command.signal(SIGTERM)
        interrupted(dag, command)


@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGHUP])
def test_a_stop_while_nothing_runs_leaves_no_pod(dag: Dag, tmp_path: Path, number: Signals) -> None:
    command = dag.start(definitions(tmp_path / "d"), "--cpu=9000")
    command.await_line("not scheduled")
    command.signal(number)
    interrupted(dag, command)


def test_a_pod_that_may_not_be_deleted_is_named_with_the_reason(dag: Dag, tmp_path: Path) -> None:
    with dag.faults() as api:
        api.on("DELETE", r"/pods/", times=None).answer(403)
        command = dag.start(definitions(tmp_path / "d"), "--cpu=9000")
        command.await_line("not scheduled")
        command.signal(SIGINT)
        done = command.end()
    assert done.returncode == 130, done.stderr
    (pod,) = dag.pods()
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"dag: interrupted; pod {pod[4:]} may still be there: ")
    assert "orbidden" in last


def test_while_the_answer_to_the_creation_is_on_its_way(dag: Dag, tmp_path: Path) -> None:
    with dag.faults() as api:
        created = api.on("POST", r"/pods$").stall(after=0)
        command = dag.start(definitions(tmp_path / "d"))
        created.wait()
        assert len(dag.pods()) == 1
        command.signal(SIGINT)
        interrupted(dag, command)


def test_a_stop_while_an_init_container_runs_leaves_no_pod(dag: Dag, tmp_path: Path) -> None:
    agent = dag.agent("trap 'exit 1' TERM; echo copying; busybox sleep 600 & wait")
    command = dag.start(definitions(tmp_path / "d"), "--agent-image", agent)
    command.await_line(r"\[init\] copying")
    command.signal(SIGINT)
    interrupted(dag, command)


@pytest.mark.parametrize("out", [[], ["--out=out"]], ids=["", "out"])
def test_a_stop_while_the_build_runs_leaves_no_pod(
    dag: Dag, tmp_path: Path, out: list[str]
) -> None:
    command = dag.start(job(tmp_path / "d", "echo running; exec sleep 600"), *out)
    command.await_line("running")
    command.signal(SIGTERM)
    interrupted(dag, command)


def test_while_packages_are_brought_back(dag: Dag, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with dag.faults() as api:
        fetched = api.on("GET", r"/proxy/.*one-1\.10-r2\.apk").stall(after=1)
        command = dag.start(definitions(tmp_path / "d"), "--out", out)
        fetched.wait()
        command.signal(SIGINT)
        interrupted(dag, command)
    assert not [path for path in out.rglob("*") if "one" in path.name]


def test_the_second_time_it_leaves_at_once_and_names_the_pod(dag: Dag, tmp_path: Path) -> None:
    script = "trap '' TERM; echo running; sleep 20 & wait"
    command = dag.start(job(tmp_path / "d", script))
    command.await_line("running")
    command.signal(SIGINT)
    eventually(lambda: "deletionTimestamp" in dag.pod_json()["metadata"], "asked to be deleted")
    command.signal(SIGINT)
    done = command.end(60)
    assert done.returncode == 130
    (pod,) = dag.pods()
    assert f"{pod.removeprefix('pod/')} may still be there" in done.stderr.splitlines()[-1]
