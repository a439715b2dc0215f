"""Who follows a detached run sees what each of its drivers says, and learns how it ended."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dag.core.jobs.driver import driver_job
from dag.core.jobs.handover import DriverEnd, encode_end
from dag.core.jobs.options import AttachOptions
from dag.core.pod.lastwords import encode_last_words
from dag.errors import InfrastructureError, UsageError
from dag.run.jobs.attach import Attachment, end_of, error_of
from tests.run.jobs.conftest import EVENTS, JOBS, PODS, answer, listed, note
from tests.support.faults import Answer, Incoming, Origin
from tests.support.kubeconfigs import kubeconfig
from tests.support.orders import SETTINGS
from tests.support.podstories import Json

OLD, NEW = "20260101-000000-000abc", "20260102-000000-000abc"
MISSING = {"kind": "Status", "message": "not found", "code": 404}
DONE = {"conditions": [{"type": "Complete", "status": "True"}]}


def driver(run: str, **status: Any) -> Json:
    made = driver_job(SETTINGS, [], "a" * 64)
    marks = {**made["metadata"]["labels"], "dag/run": run}
    metadata = {
        **made["metadata"],
        "name": f"dag-driver-{run}",
        "labels": marks,
        "uid": run,
        "resourceVersion": "1",
    }
    return {**made, "metadata": metadata, "status": status}


def pod(number: int, code: int, message: str) -> Json:
    ended = {"exitCode": code, "message": message, "containerID": "x"}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"p{number}",
            "uid": f"pod-{number}",
            "resourceVersion": "1",
            "creationTimestamp": f"2026-01-0{number}T00:00:00Z",
            "labels": {},
        },
        "spec": {"containers": [{"name": "driver"}]},
        "status": {"containerStatuses": [{"name": "driver", "state": {"terminated": ended}}]},
    }


def found(one: Json, _: Incoming) -> Answer:
    return answer(200, one)


def log(*lines: str) -> Answer:
    stamped = (f"2026-01-01T00:00:0{n}.000000000Z {line}\n" for n, line in enumerate(lines))
    return Answer.of(200, body="".join(stamped).encode())


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def attachment(
    tmp_path: Path, origin: Origin, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> Attachment:
    monkeypatch.setattr("dag.run.jobs.attach._LOOK", 0.01)
    path = kubeconfig(tmp_path / "config", origin.url)
    origin.handle(PODS, lambda _: listed("Pod", []))
    options = AttachOptions(kubeconfig=str(path), namespace="n", store="pvc://packages/wolfi")
    made = Attachment(options, shown.append)
    for key in made._keys.values():
        origin.handle(f"{key.leases_path}/{key.lease_name}", lambda _: answer(404, MISSING))
    return made


def test_the_newest_run_that_is_still_driven_is_followed(
    attachment: Attachment, origin: Origin
) -> None:
    ended, alive = driver(NEW, **DONE), driver(OLD)
    origin.handle(JOBS, lambda _: listed("Job", [ended, alive]))
    for words, run in {"": OLD, "20260102": NEW, OLD: OLD}.items():
        found = attachment.find(words)
        assert found is not None
        assert found["metadata"]["labels"]["dag/run"] == run
    assert attachment.find("2025") is None


def test_a_run_that_a_client_drives_is_not_followed(attachment: Attachment, origin: Origin) -> None:
    note = json.dumps({"run": NEW, "client": "c"})
    lease = {
        "kind": "Lease",
        "metadata": {"uid": "l", "resourceVersion": "1", "annotations": {"dag/driver": note}},
        "spec": {"holderIdentity": "process 7 on laptop"},
    }
    origin.handle(JOBS, lambda _: listed("Job", []))
    for key in attachment._keys.values():
        origin.handle(f"{key.leases_path}/{key.lease_name}", lambda _: answer(200, lease))
    with pytest.raises(UsageError, match=f"process 7 on laptop drives run {NEW}"):
        attachment.find("")


def test_each_driver_is_heard_and_the_last_one_counts(
    attachment: Attachment, origin: Origin, shown: list[str]
) -> None:
    end = DriverEnd(exit_code=1)
    pods = [pod(1, 3, "the store is gone"), pod(2, 0, encode_end(end))]
    looks = iter([pods[:1], pods, pods])
    jobs = iter([driver(NEW), driver(NEW), driver(NEW, **DONE)])
    origin.handle(PODS, lambda _: listed("Pod", next(looks)))
    origin.handle(f"{JOBS}/dag-driver-{NEW}", lambda _: answer(200, next(jobs)))
    for one in pods:
        name = one["metadata"]["name"]
        origin.handle(f"{PODS}/{name}", partial(found, one))
    origin.handle(f"{PODS}/p1/log", lambda _: log("dag: the store is gone"))
    origin.handle(f"{PODS}/p2/log", lambda _: log("dag: building zlib"))
    followed = attachment.follow(driver(NEW))
    assert shown == ["dag: the store is gone", "dag: building zlib"]
    assert (followed.run, followed.end) == (NEW, end)


def test_a_driver_that_waits_in_its_queue_is_told_each_time_its_turn_was_lost(
    attachment: Attachment, origin: Origin, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.jobs.attach._SLOW_LOOK", 0.0)
    note(origin, type="QuotaReserved", status="False", message="no room")
    queued = driver(NEW)
    queued["metadata"] |= {
        "namespace": "n",
        "labels": {"kueue.x-k8s.io/queue-name": "q", "dag/run": NEW},
    }
    waits, drives, ended = (
        {**queued, "spec": {**queued["spec"], "suspend": suspended}, "status": status}
        for suspended, status in ((True, {}), (False, {}), (False, DONE))
    )
    jobs = iter([waits, waits, drives, waits, ended])
    origin.handle(f"{JOBS}/dag-driver-{NEW}", lambda _: answer(200, next(jobs)))
    attachment.follow(waits)
    why = "the Job waits in queue q: no room"
    words = f"the driver of run {NEW} does not run yet: {why}; `dag cancel {NEW}` ends the wait"
    assert shown == [words] * 2


def test_what_an_earlier_driver_has_said_is_not_the_end_of_one_that_is_gone(
    attachment: Attachment, origin: Origin
) -> None:
    pods = [pod(1, 3, "the store is gone"), pod(2, 0, encode_end(DriverEnd(exit_code=0)))]
    origin.handle(PODS, lambda _: listed("Pod", pods))
    origin.handle(f"{JOBS}/dag-driver-{NEW}", lambda _: answer(200, driver(NEW, **DONE)))
    origin.handle(f"{PODS}/p1", partial(found, pods[0]))
    origin.handle(f"{PODS}/p2", lambda _: answer(404, MISSING))
    for one in ("p1", "p2"):
        origin.handle(f"{PODS}/{one}/log", lambda _: log("dag: building zlib"))
    assert attachment.follow(driver(NEW)).end is None  # so its result tells


def test_of_a_run_whose_pods_are_gone_nothing_is_known(
    attachment: Attachment, origin: Origin
) -> None:
    origin.handle(f"{JOBS}/dag-driver-{NEW}", lambda _: answer(404, MISSING))
    found = attachment.follow(driver(NEW))
    assert found.end is None


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (3, "the API server is gone", ("the API server is gone", "")),
        (3, "the API server is gone\nhint: ask", ("the API server is gone", "ask")),
        (137, "", ("its pod ended with exit code 137", "")),
        (0, '{"exit_code": 999}', ('{"exit_code": 999}', "")),
    ],
)
def test_other_last_words_are_a_failure_around_the_build(
    code: int, message: str, words: tuple[str, str]
) -> None:
    end = end_of({"exitCode": code, "message": message})
    assert (end.exit_code, end.words, end.hint) == (3, *words)


def test_what_a_driver_says_to_do_when_it_fails_is_the_hint() -> None:
    message = encode_last_words("the API server is gone", "look for it")
    end = end_of({"exitCode": 3, "message": message})
    assert end == DriverEnd(exit_code=3, words="the API server is gone", hint="look for it")


@pytest.mark.parametrize("code", [1, 2, 3, 130])
def test_the_error_of_a_driver_has_its_exit_code(code: int) -> None:
    error = error_of(
        DriverEnd(exit_code=code, words="it is so", hint="change it"), "the run has ended"
    )
    assert (error.exit_code, error.message) == (code, "the run has ended: it is so")
    assert error.hint == "change it"


def unscheduled(why: str) -> Json:
    """Return the Pod of a driver that no node takes."""
    made = pod(1, 0, "")
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
    made["metadata"]["namespace"] = "n"
    return {**made, "status": {"phase": "Pending", "conditions": [told]}}


def test_it_is_told_why_a_driver_does_not_run(
    attachment: Attachment, origin: Origin, shown: list[str]
) -> None:
    end = pod(1, 0, encode_end(DriverEnd(exit_code=0)))
    suspended = driver(NEW)
    suspended["spec"]["suspend"] = True
    suspended["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "builds"
    refused = {
        "metadata": {"name": "e", "uid": "e", "resourceVersion": "1"},
        "reason": "FailedCreate",
        "message": "exceeded quota: pods=0",
    }
    jobs = iter([suspended, suspended, driver(NEW), driver(NEW), driver(NEW, **DONE)])
    pods = iter([[], [], [], [end], [end]])
    looks = iter([*[unscheduled("0/2 nodes are available")] * 3, unscheduled("1 more"), end, end])
    for one in (EVENTS, f"/api/v1/namespaces/{SETTINGS.namespace}/events"):
        origin.handle(one, lambda _: listed("Event", [refused]))
    origin.handle(PODS, lambda _: listed("Pod", next(pods)))
    origin.handle(f"{JOBS}/dag-driver-{NEW}", lambda _: answer(200, next(jobs)))
    origin.handle(f"{PODS}/p1", lambda _: answer(200, next(looks, end)))
    origin.handle(f"{PODS}/p1/log", lambda _: log("dag: building zlib"))
    followed = attachment.follow(driver(NEW))
    beginning, ending = (
        f"the driver of run {NEW} does not run yet: ",
        f"; `dag cancel {NEW}` ends the wait",
    )
    assert shown == [
        f"{beginning}the Job waits in queue builds{ending}",
        f"{beginning}its Job cannot make its pod: exceeded quota: pods=0{ending}",
        f"{beginning}not scheduled: 0/2 nodes are available{ending}",
        f"{beginning}not scheduled: 1 more{ending}",
        "dag: building zlib",
    ]
    assert followed.end == DriverEnd(exit_code=0)


@pytest.mark.parametrize("has_pod", [True, False])
def test_a_driver_that_never_begins_does_not_stay(
    attachment: Attachment, origin: Origin, monkeypatch: pytest.MonkeyPatch, *, has_pod: bool
) -> None:
    monkeypatch.setattr("dag.run.jobs.attach._BEGIN", 0.1)
    waits, deleted = unscheduled("0/2 nodes are available"), list[str]()

    def job(request: Incoming) -> Answer:
        if request.method == "DELETE":
            deleted.append(request.target)
        return answer(200, driver(NEW))

    origin.handle(EVENTS, lambda _: listed("Event", []))
    origin.handle(PODS, lambda _: listed("Pod", [waits] if has_pod else []))
    origin.handle(f"{PODS}/p1", partial(found, waits))
    origin.handle(f"{JOBS}/dag-driver-{NEW}", job)
    why = "not scheduled: 0/2 nodes are available" if has_pod else "nobody says why"
    with pytest.raises(InfrastructureError, match=f"did not begin in 0.1s, and is deleted: {why}"):
        attachment.follow(driver(NEW))
    assert len(deleted) == 1


def test_a_driver_that_has_lost_its_pod_before_is_not_deleted(
    attachment: Attachment, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.jobs.attach._BEGIN", 0.0)
    end = pod(1, 0, encode_end(DriverEnd(exit_code=0)))
    waits = unscheduled("0/2 nodes are available")
    looks = iter([waits, waits])
    asked = iter([driver(NEW, failed=1)] * 2)
    origin.handle(EVENTS, lambda _: listed("Event", []))
    origin.handle(PODS, lambda _: listed("Pod", [end]))
    done = driver(NEW, **DONE, failed=1)
    origin.handle(f"{JOBS}/dag-driver-{NEW}", lambda _: answer(200, next(asked, done)))
    origin.handle(f"{PODS}/p1", lambda _: answer(200, next(looks, end)))
    origin.handle(f"{PODS}/p1/log", lambda _: log("dag: building zlib"))
    assert attachment.follow(driver(NEW)).end == DriverEnd(exit_code=0)
    assert not origin.count("DELETE")


def test_the_wait_for_a_successor_ends_by_itself_alone(
    attachment: Attachment, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.jobs.attach._BEGIN", 0.0)
    first, second = pod(1, 3, "the store is gone"), pod(2, 0, encode_end(DriverEnd(exit_code=0)))
    waits = {**second, "status": unscheduled("0/2 nodes")["status"]}
    waits["metadata"] = {**second["metadata"], "namespace": "n"}
    looks = iter([waits, waits, waits])
    jobs = iter([driver(NEW)] * 2)
    origin.handle(EVENTS, lambda _: listed("Event", []))
    origin.handle(PODS, lambda _: listed("Pod", [first, second]))
    done = driver(NEW, **DONE)
    origin.handle(f"{JOBS}/dag-driver-{NEW}", lambda _: answer(200, next(jobs, done)))
    origin.handle(f"{PODS}/p1", partial(found, first))
    origin.handle(f"{PODS}/p2", lambda _: answer(200, next(looks, second)))
    for one in ("p1", "p2"):
        origin.handle(f"{PODS}/{one}/log", lambda _: log("dag: building zlib"))
    assert attachment.follow(driver(NEW)).end == DriverEnd(exit_code=0)
