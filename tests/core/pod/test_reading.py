"""The messages about a log that did not arrive as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dag.core.build.scripts import Trailer
from dag.core.pod.log import PodLog
from dag.core.pod.reading import ContainerLog, describe_loss

STAMP = b"2026-01-01T00:00:00.000000000Z "


def arrived(*lines: bytes, streams: Sequence[int] = ()) -> tuple[PodLog, ContainerLog]:
    """Return lines as the node gave them, with a new stream before each of `streams`."""
    log, kept = PodLog(), ContainerLog()
    for number, line in enumerate(lines):
        if number in streams:
            log.resume()
        text = log.feed(line)
        if text is not None:
            kept.take([text])
    return log, kept


def end(lines: int, size: int, code: int = 0) -> bytes:
    return STAMP + f"dag: end of log: {lines} lines, {size} bytes, exit {code}".encode()


@pytest.mark.parametrize(
    ("lines", "size"), [([b"one", b"two"], 8), ([b"one", b"two"], 7), ([b"one\r", b"two"], 8)]
)
def test_of_a_whole_log_nothing_is_said(lines: list[bytes], size: int) -> None:
    log, kept = arrived(*(STAMP + line for line in lines), end(2, size))
    assert describe_loss(log, kept) is None
    assert list(kept.tail) == [line.decode() for line in lines]


def test_missing_lines_are_counted_and_their_place_is_named() -> None:
    later = STAMP.replace(b"00.0", b"09.0")
    log, kept = arrived(STAMP + b"one", later + b"nine", end(9, 90), streams=[1])
    assert describe_loss(log, kept) == (
        "7 of 9 lines of the log are missing, torn by its rotation on the node: after line 1 "
        "(between 2026-01-01T00:00:00.000000000Z and 2026-01-01T00:00:09.000000000Z)"
    )


def test_lines_that_a_stream_dropped_in_silence_are_counted() -> None:
    log, kept = arrived(STAMP + b"one", end(3, 12))
    said = describe_loss(log, kept)
    assert said is not None
    assert said.startswith("2 of 3 lines of the log are missing")
    assert said.endswith("at places that the node does not tell")


def test_bytes_that_are_missing_within_lines_are_counted() -> None:
    log, kept = arrived(STAMP + b"one", STAMP + b"t", end(2, 8))
    assert describe_loss(log, kept) == "2 bytes within the lines of the log were lost on the node"


def test_without_a_count_a_new_stream_is_only_a_suspicion() -> None:
    log, kept = arrived(STAMP + b"one", STAMP + b"two", streams=[1])
    said = describe_loss(log, kept)
    assert said is not None
    assert said.startswith("the log may lack lines where the node rotated it: after line 1")


def test_what_the_node_says_instead_of_the_end_is_passed_on() -> None:
    log, kept = arrived(STAMP + b"one", b"unable to retrieve container logs for containerd://0")
    assert describe_loss(log, kept) == (
        "the node does not give the end of the log: "
        "unable to retrieve container logs for containerd://0"
    )


@pytest.mark.parametrize(
    ("lines", "told", "said"),
    [
        ([b"one"], (1, 4), None),
        ([b"one"], (1, 6), "2 bytes within the lines of the log were lost on the node"),
        ([], (2, 8), "2 of 2 lines of the log are missing, torn {}: after line 0, to its end"),
        (
            [b"one", b"unable"],
            (2, 8),
            "1 of 2 lines of the log are missing, torn {}: after line 1, to its end, {}: unable",
        ),
    ],
)
def test_an_end_that_only_the_pods_status_tells_counts_what_came(
    lines: list[bytes], told: tuple[int, int], said: str | None
) -> None:
    stamps = [b"" if line == b"unable" else STAMP for line in lines]
    log, kept = arrived(*(stamp + line for stamp, line in zip(stamps, lines, strict=True)))
    expected = said and said.format("by its rotation on the node", "of which the node says")
    assert describe_loss(log, kept, Trailer(*told, 0)) == expected


def test_a_count_that_the_build_made_up_is_not_taken_for_the_scripts_own() -> None:
    log, kept = arrived(STAMP + b"one", end(1, 4))
    assert describe_loss(log, kept, Trailer(9, 90, 0)) == (
        "7 of 9 lines of the log are missing, torn by its rotation on the node:"
        " after line 2, to its end"
    )


def test_a_line_that_only_looks_like_the_count_is_the_builds_own() -> None:
    log, kept = arrived(STAMP + b"dag: end of log: soon", end(1, 22))
    assert list(kept.tail) == ["dag: end of log: soon"]
    assert describe_loss(log, kept) is None


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (
            "make: *** [Makefile:7: packages/x86_64/a-1-r0.apk] Error 1",
            "packages/x86_64/a-1-r0.apk",
        ),
        ("make[1]: *** [rules.mk:3: all] Error 2", "all"),
        ("gmake: *** [all] Terminated", "all"),
        ("make: *** No rule to make target 'x'.  Stop.", None),
    ],
)
def test_the_failed_target_is_read_off_makes_words(line: str, target: str | None) -> None:
    _, kept = arrived(STAMP + line.encode())
    assert kept.failed_target == target
