"""Reads one container's log through broken streams until it is whole."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from enum import StrEnum

from dag.core.build.failure import SEARCHED_LINES, FailureWords, failure_words
from dag.core.build.scripts import Trailer, read_trailer
from dag.core.pod.events import PrintLog, ReadLog
from dag.core.pod.log import PodLog
from dag.errors import DagError

PAUSE = 0.3
"""Seconds before a stream that ended is opened anew."""
AGAIN = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further stream of a log that has ended and lacks its end.

A node that rotates the log, as it looks every ten seconds whether to, may give a part of it meanwhile.
"""
REFUSAL_PATIENCE = 10.0
"""Seconds for which a refusal may be that of an API server that has just started."""
LONGEST_SHOWN = 4096
"""How many bytes of a line are kept to be shown at the end."""
_FAILED = re.compile(r"g?make(?:\[[0-9]+\])?: \*\*\* \[")
"""How GNU make begins: `make: *** [Makefile:7: TARGET] Error 1`, also a make below it (`make[1]`)."""
_LONGEST_TARGET = 4096


class ContainerLog:
    """The parts of a container's log that are remembered while it passes by."""

    def __init__(self) -> None:
        self.tail: deque[str] = deque(maxlen=SEARCHED_LINES)
        self.failed_target: str | None = None
        self.trailer: Trailer | None = None
        self.size_of_trailer = 0

    def take(self, lines: Sequence[bytes]) -> list[bytes]:
        """Return the lines to pass on: all but the build script's own last one."""
        kept = [line for line in lines if not self._take_trailer(line)]
        for line in kept[-SEARCHED_LINES:]:
            self.tail.append(line[:LONGEST_SHOWN].decode(errors="replace"))
        for line in kept:
            if target := _failed_target(line):
                self.failed_target = target
        return kept

    def words(self) -> FailureWords:
        """Return what melange says of the step that failed, if one did, and the last lines of that."""
        return failure_words(tuple(self.tail), "")

    def _take_trailer(self, line: bytes) -> bool:
        if not line.startswith(b"dag: end of log: "):
            return False
        trailer = read_trailer(line.decode(errors="replace"))
        if trailer is None:
            return False
        self.trailer, self.size_of_trailer = trailer, len(line) + 1
        return True


def _failed_target(line: bytes) -> str | None:
    """Return the target that failed, if make says so in this line of a log."""
    if b"*** [" not in line[:64]:
        return None
    text = line[:_LONGEST_TARGET].decode(errors="replace")
    if (begun := _FAILED.match(text)) is None:
        return None
    inside, end, _ = text[begun.end() :].partition("] ")
    return inside.rpartition(": ")[2] or None if end else None


class ReadingState(StrEnum):
    """The state of a log that is being read."""

    STREAMING = "streaming"
    PAUSING = "pausing"
    """The next stream is opened in a moment."""
    WHOLE = "whole"
    """Everything that could be had was read."""
    DROPPED = "dropped"


class LogReader:
    """Reads one container's log.

    It is whole when a stream that was opened after the container's end was read to its own end, or
    when the Pod is gone. If the build's script is known to have written its last line, and that has
    not come, a few more streams are opened before.
    """

    def __init__(self, container: str) -> None:
        self.container = container
        self.state = ReadingState.PAUSING
        self.due: float | None = None
        """When the next stream is opened, if this is pausing."""
        self.stream = 0
        """The number of the newest stream."""
        self.log = PodLog()
        self.kept = ContainerLog()
        self.told: Trailer | None = None
        """The last line of the build's script, as the Pod's status has it."""
        self._final = False
        self._pauses = iter(AGAIN)
        self._refused_since: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether more of the log may come."""
        return self.state in (ReadingState.STREAMING, ReadingState.PAUSING)

    def open(self, *, ended: bool, told: Trailer | None = None) -> ReadLog:
        """Return the request for the next stream; `ended` says that the container runs no more.

        `told` is the last line that the build's script has written then, as the Pod's status has it.
        """
        self.told = told
        self.state, self.due, self._final = ReadingState.STREAMING, None, ended
        self.stream += 1
        return ReadLog(self.container, self.stream, self.log.resume(), follow=not ended)

    def expects(self, stream: int) -> bool:
        """Return whether something may come of that stream."""
        return self.state is ReadingState.STREAMING and stream == self.stream

    def take(self, lines: Sequence[bytes]) -> PrintLog | None:
        """Return what is new among the lines of a stream, or None if nothing is."""
        fresh = [text for line in lines if (text := self.log.feed(line)) is not None]
        kept = self.kept.take(fresh)
        return PrintLog(self.container, kept) if kept else None

    def end(self, now: float) -> None:
        """Take note that the stream was read to its end."""
        self._refused_since = None
        lacks_end = self.told is not None and self.kept.trailer != self.told
        if not self._final:
            self._pause(now)
        elif lacks_end and (pause := next(self._pauses, None)) is not None:
            self._pause(now, pause)
        else:
            self.state = ReadingState.WHOLE

    def fail(self, status: int, error: DagError, now: float, *, gone: bool) -> DagError | None:
        """Take note that the stream broke off; return the error if it will not heal.

        `gone` says that the Pod is no longer in the API, and with it its log.
        """
        if gone or (status == 404 and self._final):
            self.state = ReadingState.WHOLE
            return None
        # 400: the container is just starting; 404: the Pod may be about to be seen as gone;
        # 5xx and no answer: the server or the node's kubelet is away.
        if status in (401, 403):
            self._refused_since = now if self._refused_since is None else self._refused_since
            if now - self._refused_since > REFUSAL_PATIENCE:
                return error
        self._pause(now)
        return None

    def drop(self) -> None:
        """Give up what has not arrived."""
        if self.is_open:
            self.state, self.due = ReadingState.DROPPED, None

    def _pause(self, now: float, seconds: float = PAUSE) -> None:
        self.state, self.due = ReadingState.PAUSING, now + seconds


def describe_loss(log: PodLog, build: ContainerLog, told: Trailer | None = None) -> str | None:
    """Return what of the build's log was lost on its way, or None if nothing is known to be.

    `told` is the last line of the build's script, as the Pod's status has it.
    """
    places = [
        f"after line {gap.after_line:,} (between {gap.after} and {gap.before})" for gap in log.gaps
    ]
    trailer = told or build.trailer
    remark = log.remark[:200] if log.remark else None
    if trailer is None:
        if remark:
            return f"the node does not give the end of the log: {remark}"
        # Without the script's count, a stream that begins anew after a rotation may lack nothing.
        where = "; ".join(places)
        return f"the log may lack lines where the node rotated it: {where}" if places else None
    has_end = trailer == build.trailer
    if not has_end:
        words = f", of which the node says: {remark}" if remark else ""
        places.append(f"after line {log.lines:,}, to its end{words}")
    # The trailer is counted among ours, and a newline may have been added to the last line.
    lost = trailer.lines - (log.lines - has_end)
    if lost > 0:
        where = "; ".join(places) or "at places that the node does not tell"
        return (
            f"{lost:,} of {trailer.lines:,} lines of the log are missing, "
            f"torn by its rotation on the node: {where}"
        )
    torn = trailer.bytes - (log.bytes - (build.size_of_trailer if has_end else 0))
    return f"{torn:,} bytes within the lines of the log were lost on the node" if torn > 0 else None
