"""What Kueue has noted of a Job tells why it waits, and whose doing it is that it lost its turn."""

from __future__ import annotations

import pytest

from dag.core.build.events import Faulted
from dag.core.jobs.ending import failure_of
from dag.core.jobs.queues import has_no_turn, how_turn_was_lost, queue_of, why_it_waits
from dag.core.pod.ending import Cause
from tests.support.podstories import Json


def workload(kind: str, status: str, reason: str, message: str) -> Json:
    one = {"type": kind, "status": status, "reason": reason, "message": message}
    return {"status": {"conditions": [{"type": "Other", "status": status}, one]}}


def test_why_a_job_waits_is_told_in_the_words_of_kueue_as_far_as_they_are_known() -> None:
    pending = workload("QuotaReserved", "False", "Pending", "insufficient unused quota for cpu")
    assert why_it_waits("q", [pending]) == (
        "the Job waits in queue q: insufficient unused quota for cpu"
    )
    reserved = workload("QuotaReserved", "True", "QuotaReserved", "Quota reserved")
    unknown: list[list[Json]] = [[], [{}], [{"status": {}}], [reserved]]
    for workloads in unknown:
        assert why_it_waits("q", workloads) == "the Job waits in queue q"


def test_a_job_in_no_queue_is_told_from_one_that_may_not_run_now() -> None:
    assert queue_of({"metadata": {}}) is None
    assert queue_of({"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "q"}}}) == "q"
    assert has_no_turn({"spec": {"suspend": True}})
    assert not has_no_turn({"spec": {"suspend": False}})
    assert not has_no_turn({})


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        ("Preempted", False),
        ("ClusterQueueStopped", False),
        ("LocalQueueStopped", False),
        ("NodeFailures", False),
        # Else one whose image cannot be pulled would be made again and again.
        ("PodsReadyTimeout", True),
        ("AdmissionCheck", True),
        ("Deactivated", True),
    ],
)
def test_what_kueue_does_for_the_sake_of_others_is_no_fault(reason: str, counts: bool) -> None:
    ending = how_turn_was_lost("q", [workload("Evicted", "True", reason, "it had to go")])
    assert ending.message == "queue q has taken back the turn of the Job: it had to go"
    assert ending.cause is (Cause.DELETED if counts else Cause.PREEMPTED)
    failure = failure_of(
        "one", 1, (ending, {"spec": {"containers": []}, "status": {}}), lines=(), lacking={}
    )
    assert isinstance(failure, Faulted)
    assert failure.disrupted is not counts


def test_a_turn_that_was_lost_for_an_unknown_reason_is_no_fault() -> None:
    ending = how_turn_was_lost("q", [])
    assert (ending.cause, ending.message) == (
        Cause.PREEMPTED,
        "queue q has taken back the turn of the Job",
    )
