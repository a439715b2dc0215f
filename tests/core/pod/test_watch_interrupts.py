"""A watch is interrupted, without a cluster or a clock."""

from __future__ import annotations

import pytest

from dag.core.pod.ending import Cause
from dag.core.pod.events import (
    Abort,
    DeletePod,
    DeletionAccepted,
    DropFetch,
    FetchPackages,
    FindPod,
    InterruptRequested,
    PodCreated,
    PodGone,
    PodNotCreated,
    PodSeen,
    Tell,
    WatchFailed,
)
from dag.errors import InfrastructureError, Interrupted
from tests.support.podstories import (
    LIMIT,
    NO_CONTACT,
    RUNNING,
    Json,
    Story,
    built,
    ended,
    pod,
    waiting,
)


def test_while_it_is_being_created_what_was_made_is_found_and_deleted() -> None:
    story = Story()
    assert story.watch.leftover == "a pod that was just being created may be there"
    assert story.tell(InterruptRequested()) == [FindPod(10.0)]
    (said, deleted, _) = story.tell(PodCreated(pod()))
    assert said == Tell("deleting pod dag-x (interrupt again to leave at once)")
    assert deleted == DeletePod(10.0)
    story.tell(DeletionAccepted(), PodGone(pod()))
    assert story.error.message == "interrupted; no pod is left behind"
    assert story.watch.leftover == ""


def test_while_it_is_being_created_and_nothing_was_made() -> None:
    story = Story()
    story.tell(InterruptRequested(), PodNotCreated())
    assert story.error.message == "interrupted; no pod is left behind"


def test_while_it_is_being_created_and_nobody_answers() -> None:
    story = Story()
    story.tell(InterruptRequested(), WatchFailed(NO_CONTACT))
    assert isinstance(story.error, Interrupted)
    assert story.error.message == (
        "interrupted; a pod that was just being created may be there: cannot connect"
    )


@pytest.mark.parametrize(
    "seen",
    [
        pod(),
        pod(init=RUNNING),
        pod(init=ended(), build=RUNNING),
        built(out=waiting()),
        built(out=RUNNING),
        built(),
    ],
    ids=["waiting", "init", "build", "late", "fetching", "draining"],
)
def test_the_first_time_it_deletes_the_pod_and_waits_until_it_is_gone(seen: Json) -> None:
    story = Story(fetches=True).begin(seen)
    fetching = bool(story.of(FetchPackages))
    done = story.tell(InterruptRequested(), after=1)
    assert story.said[-1] == "deleting pod dag-x (interrupt again to leave at once)"
    assert story.of(DeletePod, done) == [DeletePod(10.0)]
    assert bool(story.of(DropFetch, done)) == fetching
    assert not story.watch.logs.are_open(story.watch.logs.readers)
    assert story.watch.leftover == "pod dag-x may still be there"
    story.tell(DeletionAccepted(), PodSeen(seen), after=5)
    assert not story.of(Abort)
    story.tell(PodGone(seen))
    assert story.error.exit_code == 130
    assert story.error.message == "interrupted; no pod is left behind"


@pytest.mark.parametrize("begun", [False, True])
def test_the_second_time_it_leaves_at_once_and_says_what_may_be_left(*, begun: bool) -> None:
    story = Story()
    if begun:
        story.begin()
    story.tell(InterruptRequested())
    left = "pod dag-x may still be" if begun else "a pod that was just being created may be"
    assert story.watch.leftover == f"{left} there"
    story.tell(InterruptRequested())
    assert story.error.message == f"left at once; {left} there"


def test_a_pod_that_may_not_be_deleted_is_named_with_the_reason() -> None:
    story = Story().begin()
    story.tell(InterruptRequested(), WatchFailed(InfrastructureError("forbidden")))
    assert story.error.message == "interrupted; pod dag-x may still be there: forbidden"


def test_a_pod_that_does_not_go_in_its_grace_period_is_named() -> None:
    story = Story().begin()
    story.tell(InterruptRequested())
    story.tell(DeletionAccepted(), after=5)
    story.wait(59.9)
    assert not story.of(Abort)
    story.wait(0.1)
    assert story.error.message == "interrupted; pod dag-x is still there"


def test_a_pod_that_is_given_up_and_cannot_be_removed_changes_nothing_of_the_cause() -> None:
    story = Story().begin()
    story.wait(LIMIT)
    story.tell(WatchFailed(NO_CONTACT))
    assert story.said[-1] == "pod dag-x may still be there: cannot connect"
    assert (story.result.ending.cause, story.result.kept) == (Cause.PENDING, True)


def test_who_interrupts_what_is_given_up_is_told_so() -> None:
    story = Story().begin()
    story.wait(LIMIT)
    story.tell(InterruptRequested())
    assert story.of(DeletePod) == [DeletePod(900.0), DeletePod(10.0)]
    story.tell(PodGone(pod()))
    assert story.error.message == "interrupted; no pod is left behind"
