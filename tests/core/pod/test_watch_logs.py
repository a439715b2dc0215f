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


TRAILER = "dag: end of log: 4 lines, 16 bytes, exit 0"
SHORT = [line(1, b"one"), line(2, b"two")]
REST = [line(3, b"three"), line(4, b"four"), line(5, TRAILER.encode())]


def ended_with_trailer() -> Story:
    """Return the story of a pod whose build has ended and whose log came without its end."""
    message = f"make made no package\n{TRAILER}\n"
    story = Story().begin(pod(init=ended(), build=ended(message=message)))
    story.tell(LogEnded("init", 1), LogRead("build", 1, SHORT), LogEnded("build", 1))
    return story


def test_a_log_whose_end_is_known_and_lacks_is_asked_for_again_until_it_comes() -> None:
    story = ended_with_trailer()
    assert not story.of(ReadLog, story.wait(0.9))
    (asked,) = story.of(ReadLog, story.wait(0.1))
    assert (asked.stream, asked.follow, str(asked.since)[-14:]) == (2, False, "00:00:00+00:00")
    story.tell(LogRead("build", 2, SHORT), LogEnded("build", 2))
    assert not story.of(ReadLog, story.wait(1.9))
    (asked,) = story.of(ReadLog, story.wait(0.1))
    story.tell(LogRead("build", 3, [*SHORT, *REST]), LogEnded("build", 3))
    assert story.said == []
    printed = [text for one in story.of(PrintLog) for text in one.lines]
    assert printed == [b"one", b"two", b"three", b"four"]
    assert story.result.ending.cause is Cause.DONE


def test_lines_that_are_missing_are_counted_also_if_the_end_comes_at_last() -> None:
    story = ended_with_trailer()
    story.wait(1)
    story.tell(LogRead("build", 2, REST[1:]), LogEnded("build", 2))
    (said,) = story.said
    assert said.startswith("1 of 4 lines of the log are missing, torn by its rotation on the node")
    assert story.of(Conclude)


def test_an_end_that_never_comes_is_told_with_how_much_of_the_log_lacks() -> None:
    story = ended_with_trailer()
    for stream, pause in enumerate([1, 2, 4, 8], 2):
        assert not story.of(Conclude)
        story.wait(pause)
        story.tell(LogEnded("build", stream))
    (said,) = story.said
    assert said.startswith("2 of 4 lines of the log are missing, torn by its rotation on the node")
    assert said.endswith(": after line 2, to its end")
    assert story.result.ending.cause is Cause.DONE


def test_the_end_of_a_pod_that_is_gone_is_not_waited_for() -> None:
    message = f"{TRAILER}\n"
    story = ended_with_trailer()
    story.tell(PodGone(pod(init=ended(), build=ended(message=message))))
    story.wait(1)
    story.tell(LogBroke("build", 2, 404, InfrastructureError("not found")))
    assert [words.partition(",")[0] for words in story.said] == [
        "2 of 4 lines of the log are missing"
    ]
    assert story.of(Conclude)
