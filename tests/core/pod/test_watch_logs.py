"""A watch reads the logs of a pod, without a cluster or a clock."""

from __future__ import annotations

import pytest

from dag.core.pod.ending import Cause
from dag.core.pod.events import (
    Abort,
    Conclude,
    DropLogs,
    LogBroke,
    LogEnded,
    LogRead,
    PackagesFetched,
    PodEvent,
    PodGone,
    PodSeen,
    PrintLog,
    ReadLog,
)
from dag.core.pod.states import WatchState
from dag.errors import InfrastructureError
from tests.support.podstories import (
    NO_CONTACT,
    RUNNING,
    Story,
    built,
    ended,
    line,
    pod,
)


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
    lines = [line(4, b"one"), line(5, b"two")]
    story.tell(LogRead("build", 1, lines), LogBroke("build", 1, 0, NO_CONTACT))
    asked = story.of(ReadLog, story.wait(0.3))
    assert [(one.stream, str(one.since)[-14:], one.follow) for one in asked] == [
        (2, "00:00:03+00:00", True)
    ]
    story.tell(LogRead("build", 2, [*lines, line(6, b"three")]))
    assert [one.lines for one in story.of(PrintLog)] == [[b"one", b"two"], [b"three"]]


def test_what_comes_of_an_earlier_stream_changes_nothing() -> None:
    story = Story().begin()
    story.see(init=ended(), build=RUNNING)
    story.tell(LogEnded("build", 1))
    late: list[PodEvent] = [LogRead("build", 1, [line(1, b"late")]), LogEnded("build", 1)]
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


FORBIDDEN = InfrastructureError("pods/log is forbidden")
TORN = [line(1, b"one"), line(2, b"dag: end of log: 3 lines, 12 bytes, exit 0")]


@pytest.mark.parametrize("fetches", [False, True])
def test_lines_that_are_missing_are_said_and_where_the_whole_log_is(*, fetches: bool) -> None:
    story = Story(fetches=fetches, saved_log="out/build.log")
    story.begin(built(out=RUNNING) if fetches else built())
    story.tell(LogEnded("init", 1), LogRead("build", 1, TORN), LogEnded("build", 1))
    story.tell(PackagesFetched())
    assert story.said[0].startswith("2 of 3 lines of the log are missing")
    assert story.said[1:] == (["out/build.log has the whole log"] if fetches else [])
