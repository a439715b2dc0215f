"""Runs in a cluster are found for all architectures, or for those that somebody asks for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from dag.core.arch import ARCHITECTURES
from dag.core.jobs.names import StoreInCluster, labels
from dag.io.store.places import StorePlace
from dag.run.build.storedruns import StoredRuns
from tests.run.jobs.conftest import JOBS, PODS, answer, listed
from tests.support.commands import dag
from tests.support.faults import Answer, Incoming, Origin
from tests.support.kubeconfigs import kubeconfig
from tests.support.podstories import Json, ended
from tests.support.schema import checked

RUN = "20260102-000000-000abc"
STORE = "pvc://packages"


def made(name: str, arch: str, uid: str) -> Json:
    annotations = {"dag/package": "slow", "dag/attempt": "1", "dag/bundle": "b"}
    marks = {**labels(RUN, arch, STORE), "batch.kubernetes.io/job-name": f"dag-{arch}"}
    metadata = {"name": name, "uid": uid, "resourceVersion": "1", "namespace": "n"}
    return {"metadata": {**metadata, "labels": marks, "annotations": annotations}}


def pod(arch: str) -> Json:
    running = {"name": "build", "state": {"running": {"startedAt": "2026-01-02T00:00:10Z"}}}
    return {
        **made(f"dag-{arch}-p", arch, f"p-{arch}"),
        "spec": {"containers": [{"name": "build"}], "nodeName": "n"},
        "status": {"containerStatuses": [running]},
    }


@pytest.fixture
def api(origin: Origin) -> Origin:
    """Return an API in which a unit is built for two architectures, and one of them is driven."""
    archs = ("aarch64", "x86_64")
    origin.handle(JOBS, lambda _: listed("Job", [made(f"dag-{one}", one, one) for one in archs]))
    origin.handle(PODS, lambda _: listed("Pod", [pod(one) for one in archs]))

    def lease(request: Incoming) -> Answer:
        return answer(404, {"kind": "Status", "message": "not found", "code": 404})

    for arch in ARCHITECTURES:
        key = StoreInCluster("n", arch, STORE)
        origin.handle(f"{key.leases_path}/{key.lease_name}", lease)
    note = {"dag/driver": f'{{"run": "{RUN}", "progress": "1 of 2"}}'}
    driven: Json = {
        "kind": "Lease",
        "metadata": {"uid": "l", "resourceVersion": "1", "annotations": note},
        "spec": {"holderIdentity": "process 7 on laptop"},
    }
    key = StoreInCluster("n", "x86_64", STORE)
    origin.handle(f"{key.leases_path}/{key.lease_name}", lambda _: answer(200, driven))
    return origin


def ask(api: Origin, place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    config = kubeconfig(place / "config", api.url)
    where = (f"--kubeconfig={config}", "--namespace=n", f"--store={STORE}", f"--dir={place}")
    return dag(*words, *where, environment={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(place)})


def test_a_run_is_told_of_for_each_architecture(api: Origin, tmp_path: Path) -> None:
    done = ask(api, tmp_path, "status")
    assert done.returncode == 3  # as nobody drives one of them
    told = [line.partition(" for ")[0] for line in done.stdout.splitlines()]
    assert told == [
        f"run {RUN}",
        "aarch64: building slow",
        "aarch64: nobody drives it any more: `dag build` goes on with it, `dag cancel` ends it",
        "x86_64: building slow",
        "x86_64: running; 1 of 2; process 7 on laptop drives it",
    ]
    both = checked(ask(api, tmp_path, "status", "--json").stdout, "all jobs")["jobs"]
    assert [(one["arch"], one["running"]) for one in both] == [("aarch64", False), ("x86_64", True)]
    one = ask(api, tmp_path, "status", "--json", "--arch=x86_64")
    assert (checked(one.stdout, "jobs")["arch"], one.returncode) == ("x86_64", 0)


def test_a_log_that_is_written_for_two_architectures_is_asked_back_for(
    api: Origin, tmp_path: Path
) -> None:
    both = ask(api, tmp_path, "logs", "slow")
    assert both.returncode == 2
    assert "slow is built for aarch64 and x86_64 now" in both.stderr
    line = b"2026-01-02T00:00:11.000000000Z it goes on\n"
    api.handle(f"{PODS}/dag-aarch64-p", lambda _: answer(200, {"kind": "Pod", **pod("aarch64")}))
    api.handle(f"{PODS}/dag-aarch64-p/log", lambda _: Answer.of(200, body=line))
    one = ask(api, tmp_path, "logs", "slow", "--arch=aarch64")
    assert (one.returncode, one.stdout) == (0, "it goes on\n"), one.stderr


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredRuns:
    """Return the runs of the store, as a pod there would tell of them: none."""
    found = StoredRuns(StorePlace("here", tmp_path / "store"))

    @contextmanager
    def opened(*_: object) -> Iterator[StoredRuns]:
        yield found

    monkeypatch.setattr("dag.run.jobs.history.opened_runs", opened)
    return found


def write_log(runs: StoredRuns, run: str, words: str) -> None:
    log = runs.place.root / ".dag/runs" / run / "x86_64/logs/later.log"
    log.parent.mkdir(parents=True)
    log.write_text(words)


@pytest.mark.usefixtures("runs")
def test_who_asks_for_the_log_of_what_has_not_begun_is_told_so(api: Origin, tmp_path: Path) -> None:
    for words in (("later",), (RUN, "later")):
        done = ask(api, tmp_path, "logs", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"dag: run {RUN} is under way, and later has not begun in it\n"
            "hint: `dag logs -f` waits for it; `dag status` tells how far the run is\n"
        )


def test_the_log_of_what_a_run_under_way_has_built_is_that_of_the_store(
    api: Origin, tmp_path: Path, runs: StoredRuns
) -> None:
    earlier = "20260101-000000-000abc"
    write_log(runs, earlier, "it was built before\n")
    done = ask(api, tmp_path, "logs", "later")
    assert (done.returncode, done.stdout) == (0, "it was built before\n")
    assert f"later has not begun in it; this log is of run {earlier}" in done.stderr
    write_log(runs, RUN, "it is built\n")
    for words in (("later",), ("-f", RUN, "later")):
        done = ask(api, tmp_path, "logs", *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "it is built\n", "")


@pytest.mark.usefixtures("runs")
def test_who_follows_what_has_not_begun_waits_for_it(
    api: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.jobs.livelogs._SLOW_LOOK", 0.01)
    job, begun = made("dag-x86_64", "x86_64", "j"), pod("x86_64")
    for one in (job, begun):
        one["metadata"]["annotations"]["dag/package"] = "later"
    begun["status"]["containerStatuses"][0]["state"] = ended()
    looks = count()
    api.handle(JOBS, lambda _: listed("Job", [job] if next(looks) > 3 else []))
    api.handle(PODS, lambda _: listed("Pod", [begun]))
    line = b"2026-01-02T00:00:11.000000000Z it is built\n"
    api.handle(f"{PODS}/dag-x86_64-p", lambda _: answer(200, {"kind": "Pod", **begun}))
    api.handle(f"{PODS}/dag-x86_64-p/log", lambda _: Answer.of(200, body=line))
    done = ask(api, tmp_path, "logs", "-f", "later")
    assert (done.returncode, done.stdout) == (0, "it is built\n")
    words = f"dag: run {RUN} is under way, and later has not begun in it: waiting for it\n"
    assert done.stderr == words


def test_who_follows_what_a_run_never_builds_is_told_so_at_its_end(
    api: Origin, tmp_path: Path, runs: StoredRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.jobs.livelogs._SLOW_LOOK", 0.01)
    key = StoreInCluster("n", "x86_64", STORE)
    driven = {"dag/driver": f'{{"run": "{RUN}"}}'}
    metadata = {"uid": "l", "resourceVersion": "1", "annotations": driven}
    looks = count()

    def lease(_: Incoming) -> Answer:
        holder = {"holderIdentity": "process 7 on laptop"} if next(looks) < 4 else {}
        return answer(200, {"kind": "Lease", "metadata": metadata, "spec": holder})

    api.handle(JOBS, lambda _: listed("Job", []))
    api.handle(f"{key.leases_path}/{key.lease_name}", lease)
    done = ask(api, tmp_path, "logs", "-f", "later")
    assert done.returncode == 2
    assert "here: there was no run" in done.stderr
