"""A watch of a pod in which nothing runs, without a cluster or a clock; and the table of states."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.pod.ending import Cause
from dag.core.pod.events import (
    Conclude,
    DeletePod,
    DeletionAccepted,
    NewsResumed,
    NewsStopped,
    PodEventsHidden,
    PodGone,
    PodSeen,
    ReadLog,
    Tell,
    Ticked,
    WakeAt,
)
from dag.core.pod.states import TRANSITIONS, WatchState, state_diagram
from tests.support.podstories import (
    LIMIT,
    NOTHING,
    RUNNING,
    Json,
    Story,
    api_event,
    built,
    ended,
    pod,
    waiting,
)

MISSING = waiting("ErrImagePull", "x: not found")


def test_why_it_waits_is_said_once_a_change() -> None:
    story = Story().begin()
    full = [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes: Insufficient cpu"}]
    story.see(conditions=full, after=1)
    story.see(conditions=full, after=5)
    story.tell(api_event("FailedScheduling", "0/2 nodes: Insufficient cpu"), after=5)
    scheduled = [{"type": "PodScheduled", "status": "True"}]
    for reason in ("ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"):
        state = waiting(reason, "x: connection refused")
        story.see(init=state, conditions=scheduled, after=5)
    story.see(init=waiting(), conditions=scheduled, after=1)
    story.tell(api_event("FailedMount", "no such class", uid="m", time=9))
    assert story.said == [
        "not scheduled: 0/2 nodes: Insufficient cpu",
        "container init: cannot pull init:1: x: connection refused",
        "FailedMount: no such class",
    ]


def test_events_that_may_not_be_read_are_a_detail() -> None:
    story = Story().begin()
    (said,) = story.of(Tell, story.tell(PodEventsHidden()))
    assert said == Tell("events cannot be read, so waiting is explained less well", detail=True)


def test_the_pending_timeout_counts_from_the_creation_whatever_happens_meanwhile() -> None:
    story = Story().begin()
    for second in range(int(LIMIT)):
        story.tell(api_event("FailedMount", "no", uid=str(second)), PodSeen(pod()), after=0.999)
    assert not story.of(DeletePod)
    story.wait(1)
    assert story.of(DeletePod)
    assert story.said[-1] == "giving up, deleting pod dag-x"
    assert not story.of(Conclude)
    story.tell(DeletionAccepted(), PodGone(pod()))
    assert story.result.ending.cause is Cause.PENDING
    assert (story.result.ending.exit_code, story.result.kept) == (3, False)
    assert story.result.ending.message == (
        "nothing ran for 300 s (--pending-timeout): FailedMount: no"
    )


def test_a_pod_of_which_nobody_says_anything_is_given_up_too() -> None:
    story = Story().begin()
    story.wait(LIMIT)
    story.tell(DeletionAccepted(existed=False))
    words = "(--pending-timeout): the pod has not started: node node-a has not taken it up"
    assert story.result.ending.message.endswith(words)


def test_a_pod_that_is_given_up_is_told_with_what_the_cluster_said_of_it_last() -> None:
    story = Story().begin(pod(init=waiting()))
    story.tell(api_event("Pulled", "the image is there"))
    story.wait(LIMIT)
    story.tell(DeletionAccepted(existed=False))
    words = "the pod has not started: node node-a said last: the image is there"
    assert story.result.ending.message.endswith(words)


def test_a_long_fetch_that_runs_is_not_pending() -> None:
    story = Story().begin()
    story.see(init=RUNNING, after=LIMIT - 1)
    story.wait(10 * LIMIT)
    assert story.watch.state is WatchState.WORKING
    assert not story.of(DeletePod)


def test_between_two_steps_the_clock_begins_anew() -> None:
    story = Story().begin()
    story.see(init=RUNNING, after=LIMIT - 1)
    story.see(init=ended(), populate=waiting(), after=LIMIT)
    story.wait(LIMIT - 1)
    assert not story.of(DeletePod)
    story.wait(1)
    assert story.of(DeletePod)


def test_a_sidecar_that_runs_is_no_progress() -> None:
    story = Story().begin()
    story.see(sidecar=RUNNING, init=waiting(), after=1)
    assert story.watch.state is WatchState.WAITING
    story.wait(LIMIT)
    assert story.of(DeletePod)


@pytest.mark.parametrize(
    "state",
    [MISSING, waiting("InvalidImageName", "x"), waiting("CreateContainerConfigError", "x")],
)
def test_what_cannot_heal_fails_after_a_grace_period(state: Json) -> None:
    story = Story().begin()
    story.see(init=state, after=50)
    story.wait(9.9)
    assert not story.of(DeletePod)
    story.wait(0.1)
    assert story.of(DeletePod)
    story.tell(PodGone(pod()))
    assert story.result.ending.cause is Cause.START
    assert story.result.ending.message == story.said[0]


def test_what_heals_within_the_grace_period_does_not_fail() -> None:
    story = Story().begin()
    story.see(init=MISSING)
    story.see(init=waiting(), after=9)
    story.see(init=MISSING, after=5)
    story.see(init=RUNNING, after=9)
    story.wait(LIMIT)
    assert not story.of(DeletePod)


def test_a_cause_that_may_heal_is_waited_for_until_the_timeout() -> None:
    story = Story().begin()
    story.see(init=waiting("ErrImagePull", "x: connection refused"))
    story.wait(LIMIT - 1)
    assert not story.of(DeletePod)
    story.wait(1)
    assert story.of(DeletePod)


def test_by_old_news_nothing_is_given_up() -> None:
    story = Story().begin()
    story.see(init=MISSING)
    story.tell(NewsStopped())
    assert story.wait(2 * LIMIT) == []
    story.tell(Ticked(), api_event("Failed"))
    assert not story.of(DeletePod)
    story.tell(PodSeen(pod(init=RUNNING)), NewsResumed())
    assert not story.of(DeletePod)
    story.see(init=ended(), build=MISSING)
    story.tell(NewsStopped(), NewsResumed(), after=2 * LIMIT)
    assert story.of(DeletePod)


def test_a_node_that_does_not_answer_is_said_once() -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    story.tell(api_event("NodeNotReady"))
    story.tell(api_event("NodeNotReady"), after=1)
    assert story.said == ["node node-a does not answer; Kubernetes waits for it"]


def test_a_pod_that_nobody_keeps_goes_when_it_has_ended_and_is_not_waited_for() -> None:
    story = Story(keeps_pod=False, awaits_removal=False, reads_logs=False).begin(built())
    assert story.of(DeletePod)
    assert not story.of(ReadLog)
    assert not story.of(Conclude)
    story.tell(DeletionAccepted())
    assert story.result.ending.exit_code == 0
    assert story.watch.leftover == ""


@pytest.mark.parametrize(
    "seen",
    [pod(), pod(init=ended(), build=RUNNING), built(upload=waiting())],
    ids=["waiting", "working", "late"],
)
def test_what_may_take_only_so_long_is_given_up_whatever_it_does(seen: Json) -> None:
    story = Story(timeout=60.0).begin(seen)
    story.wait(60)
    story.tell(PodGone(pod()))
    assert story.result.ending.cause is Cause.TIMEOUT


def test_any_cause_can_be_made_to_count_unless_an_image_is_being_pulled() -> None:
    story = Story(stalled_grace=10.0).begin()
    story.tell(api_event("FailedMount", "no class", uid="m", time=1))
    story.tell(api_event("Pulling", uid="p", time=2))
    story.wait(20)
    assert not story.of(DeletePod)
    story.tell(api_event("FailedMount", "no class", uid="m", time=3))
    assert story.of(DeletePod)


def test_from_every_state_the_end_can_be_reached() -> None:
    reach = {WatchState.ENDED}
    for _ in WatchState:
        reach |= {before for (before, _), after in TRANSITIONS.items() if after in reach}
    assert reach == set(WatchState)


def test_the_diagram_has_every_state_and_every_transition() -> None:
    lines = state_diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert len(lines) == len(TRANSITIONS) + 3
    assert all(any(f" {state}" in line for line in lines) for state in WatchState)


def test_the_documentation_shows_the_table() -> None:
    document = Path(__file__).resolve().parents[3] / "docs" / "pod.md"
    assert f"```mermaid\n{state_diagram()}```\n" in document.read_text()


def test_a_tick_that_nobody_asked_for_changes_nothing() -> None:
    story = Story().begin()
    assert story.tell(Ticked()) == [WakeAt(LIMIT)]
    assert story.tell(Ticked(), PodSeen(pod(build=NOTHING))) == [WakeAt(LIMIT)] * 2
