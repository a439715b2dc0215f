"""What a watch of a Pod does about everything that can happen to it, without a cluster or a clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dag.core.pod.ending import Cause
from dag.core.pod.events import (
    Abort,
    Conclude,
    DeletePod,
    DeletionAccepted,
    DropFetch,
    DropLogs,
    FetchPackages,
    FindPod,
    InterruptRequested,
    LogBroke,
    LogEnded,
    LogRead,
    NewsResumed,
    NewsStopped,
    PackagesFetched,
    PodCreated,
    PodEvent,
    PodEventsHidden,
    PodGone,
    PodNotCreated,
    PodSeen,
    PrintLog,
    ReadLog,
    Tell,
    Ticked,
    WakeAt,
    WatchFailed,
)
from dag.core.pod.states import LIVE, TRANSITIONS, WatchState, state_diagram
from dag.errors import InfrastructureError, Interrupted
from tests.support.podstories import (
    LIMIT,
    NOTHING,
    RUNNING,
    Json,
    Story,
    api_event,
    ended,
    pod,
    waiting,
)

STAMP = b"2026-01-01T00:00:0%d.000000000Z %b"
FORBIDDEN = InfrastructureError("pods/log is forbidden")
NO_CONTACT = InfrastructureError("cannot connect")
MISSING = waiting("ErrImagePull", "x: not found")


def finish_logs(story: Story) -> None:
    """Let every log come to its end, whatever stream it was asked for with."""
    while story.watch.logs.are_open(story.watch.logs.readers):
        for name in list(story.watch.logs.readers):
            story.tell(LogEnded(name, story.stream(name)))
        story.wait(1)


def built(code: int = 0, **containers: Any) -> Json:
    return pod(init=ended(), build=ended(code), **containers)


# ---- while nothing runs -----------------------------------------------------------------------


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
    assert said == Tell("events may not be read, so waiting is explained less well", detail=True)


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
    assert story.result.ending.message.endswith("(--pending-timeout): the pod has not started")


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


# ---- logs -------------------------------------------------------------------------------------


def test_each_log_is_read_from_its_first_line_also_if_its_container_ended_before() -> None:
    story = Story().begin()
    story.see(sidecar=RUNNING, init=ended(), build=RUNNING, out=RUNNING)
    assert story.of(ReadLog) == [
        ReadLog("proxy", 1, None, follow=True),
        ReadLog("init", 1, None, follow=False),
        ReadLog("build", 1, None, follow=True),
    ]
    story.see(sidecar=RUNNING, init=ended(), build=RUNNING, out=RUNNING)
    assert len(story.of(ReadLog)) == 3


def test_a_stream_that_breaks_is_asked_again_from_its_last_line_and_repeats_nothing() -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    lines = [STAMP % (4, b"one"), STAMP % (5, b"two")]
    story.tell(LogRead("build", 1, lines), LogBroke("build", 1, 0, NO_CONTACT))
    asked = story.of(ReadLog, story.wait(0.3))
    assert [(one.stream, str(one.since)[-14:], one.follow) for one in asked] == [
        (2, "00:00:03+00:00", True)
    ]
    story.tell(LogRead("build", 2, [*lines, STAMP % (6, b"three")]))
    assert [one.lines for one in story.of(PrintLog)] == [[b"one", b"two"], [b"three"]]


def test_what_comes_of_an_earlier_stream_changes_nothing() -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    story.tell(LogEnded("build", 1))
    late: list[PodEvent] = [LogRead("build", 1, [STAMP % (1, b"late")]), LogEnded("build", 1)]
    story.tell(*late)
    story.wait(0.3)
    story.tell(*late, LogRead("none", 1, []), LogEnded("none", 1))
    assert not story.of(PrintLog)
    assert story.of(ReadLog)[-1] == ReadLog("build", 2, None, follow=True)
    assert story.watch.logs.are_open(["build"])


def test_a_log_is_whole_once_a_stream_that_was_opened_after_the_end_has_ended() -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    story.tell(LogEnded("init", 1))
    story.tell(PodSeen(built()), LogEnded("build", 1))
    assert story.watch.state is WatchState.DRAINING
    (asked,) = story.of(ReadLog, story.wait(0.3))
    assert asked == ReadLog("build", 2, None, follow=False)
    story.tell(LogEnded("build", 2))
    assert story.result.ending.cause is Cause.DONE


def test_a_refusal_that_stays_ends_the_watch_and_one_that_heals_does_not() -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    story.tell(LogEnded("init", 1))
    for _ in range(15):
        story.tell(LogBroke("build", story.stream("build"), 403, FORBIDDEN), after=0.3)
        story.wait(0.3)
    assert not story.of(Abort)
    story.tell(LogEnded("build", story.stream("build")))
    story.wait(0.3)
    for _ in range(35):
        story.tell(LogBroke("build", story.stream("build"), 401, FORBIDDEN))
        story.wait(0.3)
    assert story.error is FORBIDDEN


def test_the_logs_of_a_pod_that_was_taken_away_get_a_moment_to_end() -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    story.tell(LogEnded("init", 1))
    story.tell(PodGone(pod(init=ended(), build=RUNNING)))
    story.wait(4.9)
    assert not story.of(Conclude)
    story.wait(0.1)
    assert story.said == ["the end of the log could not be read"]
    assert story.of(DropLogs)
    assert (story.result.ending.cause, story.result.kept) == (Cause.DELETED, False)


def test_the_log_of_a_pod_that_is_gone_is_whole_when_there_is_no_more_of_it() -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    story.tell(LogEnded("init", 1), PodGone(pod(init=ended(), build=RUNNING)))
    story.tell(LogBroke("build", 1, 404, InfrastructureError("not found")))
    assert story.said == []
    assert story.result.ending.cause is Cause.DELETED


def test_the_end_of_a_long_log_is_waited_for_but_not_for_ever() -> None:
    story = Story().begin(built())
    story.tell(LogEnded("init", 1))
    story.wait(299)
    assert not story.of(Conclude)
    story.wait(1)
    assert story.said == ["the end of the log could not be read"]
    assert story.result.ending.cause is Cause.DONE


def test_the_log_of_what_others_put_into_the_pod_is_not_waited_for() -> None:
    story = Story().begin(built(sidecar=RUNNING))
    story.tell(LogEnded("init", 1), LogEnded("build", 1))
    assert story.of(DropLogs)
    assert story.result.ending.cause is Cause.DONE


TORN = [STAMP % (1, b"one"), STAMP % (2, b"dag: end of log: 3 lines, 12 bytes, exit 0")]


@pytest.mark.parametrize("fetches", [False, True])
def test_lines_that_are_missing_are_said_and_where_the_whole_log_is(*, fetches: bool) -> None:
    story = Story(fetches=fetches, saved_log="out/build.log")
    story.begin(built(out=RUNNING) if fetches else built())
    story.tell(LogEnded("init", 1), LogRead("build", 1, TORN), LogEnded("build", 1))
    story.tell(PackagesFetched())
    assert story.said[0].startswith("2 of 3 lines of the log are missing")
    assert story.said[1:] == (["out/build.log has the whole log"] if fetches else [])


# ---- how it ends ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "cause", "code", "words"),
    [
        (ended(0), Cause.DONE, 0, "make ended with exit code 0"),
        (ended(2), Cause.MAKE, 1, "make failed with exit code 2"),
        (ended(0, reason="OOMKilled"), Cause.OOM_KILLED, 1, "killed for want of memory"),
    ],
)
def test_a_build_that_ended_names_its_cause_and_its_pod_is_kept(
    state: Json, cause: Cause, code: int, words: str
) -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING, after=1)
    story.see(init=ended(), build=state, after=1)
    failed = b"make: *** [Makefile:7: packages/a.apk] Error 7"
    story.tell(LogRead("build", 1, [STAMP % (1, b"making"), STAMP % (2, failed)]))
    finish_logs(story)
    result = story.result
    assert (result.name, result.ending.cause, result.ending.exit_code) == ("dag-x", cause, code)
    assert words in result.ending.message
    assert result.tail == ("making", failed.decode())
    assert result.failed_target == "packages/a.apk"
    assert result.kept
    assert not story.of(DeletePod)
    assert result.seconds >= 2


@pytest.mark.parametrize(
    ("condition", "cause"),
    [
        ("PreemptionByScheduler", Cause.PREEMPTED),
        ("DeletionByTaintManager", Cause.NODE_LOST),
        ("EvictionByEvictionAPI", Cause.EVICTED),
    ],
)
def test_who_took_the_pod_away_is_the_cause(condition: str, cause: Cause) -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    target = {"type": "DisruptionTarget", "status": "True", "reason": condition}
    story.see(init=ended(), build=RUNNING, conditions=[target])
    story.wait(5)
    assert story.result.ending.cause is cause
    assert story.result.ending.hint == "nothing is wrong with the packages: run it again"


def test_a_step_that_fails_is_told_with_its_log_and_the_pod_goes() -> None:
    story = Story().begin()
    story.see(init=ended(), populate=ended(1))
    story.tell(LogRead("populate-cache", 1, [STAMP % (1, b"cp: no such file")]))
    finish_logs(story)
    assert story.of(DeletePod)
    story.tell(DeletionAccepted(), PodGone(pod()))
    result = story.result
    assert (result.ending.cause, result.ending.container) == (Cause.INIT, "populate-cache")
    assert (result.tail, result.kept) == (("cp: no such file",), False)


def test_a_pod_that_vanishes_before_it_was_ever_seen_was_deleted() -> None:
    story = Story().begin()
    story.tell(PodGone(pod()))
    assert story.result.ending.cause is Cause.DELETED


def test_another_pod_of_the_same_name_is_another_pod() -> None:
    story = Story().begin()
    story.tell(PodSeen(pod(build=ended(), uid="two")), PodGone(pod(uid="two")))
    assert story.watch.state is WatchState.WAITING


def test_what_is_gone_does_not_come_back() -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    story.tell(PodGone(pod(init=ended(), build=RUNNING)), PodSeen(built()))
    story.wait(5)
    assert story.result.ending.cause is Cause.DELETED


@pytest.mark.parametrize("upload", [RUNNING, waiting()], ids=["working", "late"])
def test_contact_that_is_lost_for_good_ends_the_watch_and_leaves_the_build_alone(
    upload: Json,
) -> None:
    story = Story().begin(built(upload=upload))
    story.tell(WatchFailed(NO_CONTACT))
    assert story.error is NO_CONTACT
    assert not story.of(DeletePod)
    assert story.watch.leftover == "pod dag-x may still be there"


def test_news_that_come_in_the_wrong_order_do_no_harm() -> None:
    story = Story().begin()
    for seen in (built(upload=waiting()), pod(), pod(init=RUNNING, upload=waiting())):
        story.tell(PodSeen(seen))
    assert story.watch.state is WatchState.WORKING


def test_after_its_end_nothing_is_done_any_more() -> None:
    story = Story().begin(built())
    finish_logs(story)
    assert story.tell(PodGone(built()), InterruptRequested(), WatchFailed(NO_CONTACT)) == []


# ---- packages and uploads ---------------------------------------------------------------------


def test_packages_are_fetched_as_soon_as_the_build_has_ended_while_an_upload_goes_on() -> None:
    story = Story(fetches=True).begin()
    story.see(init=ended(), build=RUNNING, out=RUNNING, upload=RUNNING)
    assert not story.of(FetchPackages)
    story.see(init=ended(), build=ended(), out=RUNNING, upload=RUNNING)
    assert len(story.of(FetchPackages)) == 1
    story.tell(PackagesFetched())
    assert story.watch.state in LIVE
    story.see(init=ended(), build=ended(), out=RUNNING, upload=ended())
    finish_logs(story)
    assert story.result.ending.exit_code == 0
    assert len(story.of(FetchPackages)) == 1


def test_the_result_waits_for_packages_that_are_on_their_way() -> None:
    story = Story(fetches=True).begin(built(out=RUNNING))
    finish_logs(story)
    story.wait(10 * LIMIT)
    assert not story.of(Conclude)
    story.tell(PackagesFetched())
    assert story.result.ending.exit_code == 0


def test_packages_that_do_not_come_fail_a_build_that_went_well() -> None:
    story = Story(fetches=True).begin(built(out=RUNNING))
    finish_logs(story)
    story.tell(PackagesFetched(NO_CONTACT))
    assert story.error is NO_CONTACT


def test_packages_that_do_not_come_are_only_said_of_a_build_that_failed() -> None:
    story = Story(fetches=True).begin(built(2, out=RUNNING))
    finish_logs(story)
    story.tell(PackagesFetched(NO_CONTACT))
    assert story.said == ["cannot connect"]
    assert story.result.ending.cause is Cause.MAKE


def test_a_build_that_is_faster_than_what_serves_its_packages_waits_for_it() -> None:
    story = Story(fetches=True).begin(built(out=waiting()))
    assert story.watch.state is WatchState.LATE
    story.tell(PodSeen(built(out=RUNNING)), after=LIMIT - 1)
    assert story.of(FetchPackages)


@pytest.mark.parametrize("code", [0, 2])
def test_what_serves_packages_and_cannot_start_is_given_up_and_said(code: int) -> None:
    state = waiting("CreateContainerConfigError", "never as root")
    story = Story(fetches=True).begin(built(code, out=state))
    finish_logs(story)
    story.wait(10)
    words = "the packages cannot be brought back: container out: CreateContainerConfigError: "
    if code:
        assert story.said[-1].startswith(words)
        assert story.result.ending.cause is Cause.MAKE
    else:
        assert story.error.message.startswith(words)


def test_an_upload_that_does_not_start_in_time_failed() -> None:
    story = Story().begin(built(upload=waiting()))
    assert story.watch.state is WatchState.LATE
    story.wait(LIMIT)
    finish_logs(story)
    assert story.result.ending.cause is Cause.UPLOAD
    assert "container upload has not started" in story.result.ending.message


def test_an_upload_that_starts_after_the_build_has_ended_is_waited_for() -> None:
    story = Story().begin(pod(init=ended(), build=RUNNING, upload=waiting()))
    story.tell(PodSeen(built(upload=waiting())))
    story.tell(PodSeen(built(upload=RUNNING)), after=LIMIT - 1)
    story.wait(10 * LIMIT)
    assert not story.of(DeletePod)
    assert not story.of(Conclude)
    story.tell(PodSeen(built(upload=ended())))
    finish_logs(story)
    assert story.result.ending.cause is Cause.DONE


def test_both_that_take_packages_and_do_not_start_are_given_up() -> None:
    story = Story(fetches=True).begin(built(2, out=waiting(), upload=waiting()))
    story.wait(LIMIT)
    finish_logs(story)
    assert "the upload failed: nothing ran for 300 s" in story.result.ending.message
    assert story.said[-1].startswith("the packages cannot be brought back: nothing ran for 300 s")


def test_a_pod_that_is_taken_away_takes_its_packages_along() -> None:
    story = Story(fetches=True).begin(built(out=RUNNING, upload=RUNNING))
    target = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
    story.tell(PodSeen(built(out=RUNNING, upload=RUNNING, conditions=[target])))
    story.wait(5)
    assert story.of(DropFetch)
    assert story.said[-1] == "the packages cannot be brought back: their pod has ended"
    assert story.result.ending.cause is Cause.NODE_LOST


def test_packages_that_are_here_stay_here_when_the_pod_is_taken_away() -> None:
    story = Story(fetches=True).begin(built(out=RUNNING, upload=RUNNING))
    story.tell(PackagesFetched())
    target = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
    story.tell(PodSeen(built(out=RUNNING, upload=RUNNING, conditions=[target])))
    story.wait(5)
    assert not [text for text in story.said if "brought back" in text]


# ---- somebody interrupts ----------------------------------------------------------------------


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


# ---- rules ------------------------------------------------------------------------------------


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


# ---- the table --------------------------------------------------------------------------------


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
