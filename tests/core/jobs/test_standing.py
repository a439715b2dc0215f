"""How a run stands is read off what the API has, whoever drives it."""

from __future__ import annotations

from typing import Any

from dag.core.jobs.lease import DriverNote, LeaseView
from dag.core.jobs.standing import standings_of
from dag.report.standing import standings_exit_code, standings_json, standings_lines
from tests.support.podstories import ended
from tests.support.schema import checked

Json = dict[str, Any]
OLD, NEW = "20260101-000000-000abc", "20260102-000000-000abc"


def job(name: str, run: str, package: str, attempt: int = 1, *, arch: str = "x86_64") -> Json:
    annotations = {"dag/package": package, "dag/attempt": str(attempt), "dag/bundle": "b"}
    metadata = {
        "name": name,
        "labels": {"dag/run": run, "dag/arch": arch},
        "annotations": annotations,
    }
    return {"metadata": {**metadata, "creationTimestamp": "2026-01-02T00:00:00Z"}}


def pod(name: str, **state: Json) -> Json:
    statuses = [{"name": "build", "state": state}] if state else []
    return {
        "metadata": {"name": f"{name}-p", "labels": {"batch.kubernetes.io/job-name": name}},
        "spec": {"containers": [{"name": "build"}], "nodeName": "n"},
        "status": {"containerStatuses": statuses},
    }


def lease(run: str, holder: str = "process 7 on laptop") -> LeaseView:
    return LeaseView("1", holder, "now", DriverNote(run=run, progress="3 of 9"), "")


def test_the_newest_run_is_told_of_and_who_drives_it() -> None:
    jobs = [
        job("a", NEW, "one"),
        job("b", NEW, "two", 2),
        job("c", NEW, "three"),
        job("d", NEW, "four"),
        job("old", OLD, "one"),
    ]
    running = pod("b", running={"startedAt": "2026-01-02T00:00:10Z"})
    found = standings_of({"x86_64": lease(NEW)}, jobs, [pod("a"), running, pod("c", **ended(0))])
    assert list(standings_lines(found, 1767312030.0)) == [
        f"run {NEW}",
        "waiting four for 30s",
        "preparing one for 30s",
        "ended three for 30s",
        "building two for 20s, attempt 2",
        "running; 3 of 9; process 7 on laptop drives it",
    ]
    told = checked(standings_json(found), "jobs")
    assert (told["running"], told["attempts"][2]["state"]) == (True, "ended")


def test_a_run_that_nobody_drives_is_told_as_such() -> None:
    (found,) = standings_of({"x86_64": lease(NEW)}, [job("old", OLD, "one")], [], OLD[:8])
    assert found.driver == ""
    assert "nobody drives it any more" in list(standings_lines([found], 0.0))[-1]
    assert standings_exit_code([found]) == 3


def test_a_run_without_jobs_is_there_as_long_as_somebody_drives_it() -> None:
    assert len(standings_of({"x86_64": lease(NEW)}, [], [])) == 1
    assert standings_of({"x86_64": lease(NEW, holder="")}, [], []) == []
    assert standings_of({}, [], []) == []
    assert standings_of({"x86_64": lease(NEW)}, [], [], OLD) == []


def test_a_run_for_several_architectures_is_told_of_for_each() -> None:
    leases = {
        "aarch64": lease(NEW),
        "riscv64": lease(OLD),
        "x86_64": lease(NEW, holder=""),
    }
    jobs = [job("a", NEW, "one", arch="aarch64"), job("b", OLD, "one", arch="riscv64")]
    found = standings_of(leases, jobs, [])
    assert list(standings_lines(found, 1767312030.0)) == [
        f"run {NEW}",
        "aarch64: waiting one for 30s",
        "aarch64: running; 3 of 9; process 7 on laptop drives it",
        f"x86_64: ended; `dag status --arch x86_64 {NEW}` tells what came of it",
    ]
    told = checked(standings_json(found), "all jobs")
    assert [(one["arch"], one["running"], one["ended"]) for one in told["jobs"]] == [
        ("aarch64", True, False),
        ("x86_64", False, True),
    ]
    assert told["exit_code"] == 0


def test_jobs_that_nobody_drives_for_one_of_several_architectures_are_told_by_the_exit_code() -> (
    None
):
    leases = {"aarch64": lease(NEW), "x86_64": lease(NEW, holder="")}
    found = standings_of(leases, [job("a", NEW, "one")], [])
    assert standings_exit_code(found) == 3


def driver(run: str, **status: Any) -> Json:
    metadata = {
        "name": f"dag-driver-{run}",
        "labels": {"dag/run": run, "dag/arch": "x86_64", "dag/driver": "abc"},
    }
    return {"metadata": metadata, "status": status}


def test_a_run_is_there_as_long_as_a_job_drives_it() -> None:
    # Its pod waits for a node, so nobody holds the Lease.
    (found,) = standings_of({}, [driver(NEW), job("old", OLD, "one")], [])
    assert (found.run, found.driver, found.job) == (
        NEW,
        f"job dag-driver-{NEW}",
        f"dag-driver-{NEW}",
    )
    assert standings_exit_code([found]) == 0
    (line,) = list(standings_lines([found], 0.0))[1:]
    assert line == f"running; job dag-driver-{NEW} drives it; `dag attach {NEW}` follows it"
    (held,) = standings_of({"x86_64": lease(NEW, "pod dag-driver-x")}, [driver(NEW)], [])
    assert (held.driver, held.job) == ("pod dag-driver-x", f"dag-driver-{NEW}")
    assert checked(standings_json([held]), "jobs")["job"] == held.job
    ended = driver(NEW, conditions=[{"type": "Complete", "status": "True"}])
    assert standings_of({}, [ended], []) == []
