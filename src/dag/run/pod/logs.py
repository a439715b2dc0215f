"""Follows one container's log through broken streams, and says what is missing of it."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dag.core.build.scripts import Trailer, read_trailer
from dag.core.pod.log import PodLog
from dag.io.kube.api import ApiError, Kube

_PAUSE = 0.3
# Seconds for which a refusal may be that of an API server that has just started.
_REFUSAL_PATIENCE = 10.0
# GNU make: `make: *** [Makefile:7: TARGET] Error 1`, also of a make below it (`make[1]`).
_FAILED_TARGET = re.compile(r"g?make(?:\[\d+\])?: \*\*\* \[(?:[^\]]*: )?([^\]]+)\] (.*)")


@dataclass(frozen=True, slots=True)
class LogSource:
    """Where a log comes from, and what is known of its container."""

    kube: Kube
    pod_path: str
    container: str
    ended: Callable[[], bool]
    """The container runs no more."""
    gone: Callable[[], bool]
    """The Pod is no longer in the API, nor is its log."""


class ContainerLog:
    """What is remembered of a container's log while it passes by."""

    def __init__(self, print_lines: Callable[[Sequence[bytes]], None]) -> None:
        self.tail: deque[str] = deque(maxlen=20)
        self.failed_target: str | None = None
        self.trailer: Trailer | None = None
        self.size_of_trailer = 0
        self._print = print_lines

    def take(self, lines: Sequence[bytes]) -> None:
        """Pass lines on, but for the build script's own last one."""
        kept = [line for line in lines if not self._is_trailer(line)]
        for line in kept[-20:]:
            self.tail.append(line.decode(errors="replace"))
        for line in kept:
            if b"*** [" in line and (found := _FAILED_TARGET.match(line.decode(errors="replace"))):
                self.failed_target = found[1]
        self._print(kept)

    def _is_trailer(self, line: bytes) -> bool:
        if not line.startswith(b"dag: end of log: "):
            return False
        trailer = read_trailer(line.decode(errors="replace"))
        if trailer is None:
            return False
        self.trailer, self.size_of_trailer = trailer, len(line) + 1
        return True


async def follow_log(source: LogSource, take: Callable[[Sequence[bytes]], None]) -> PodLog:
    """Hand every line of a container's log to `take`, once and in order, until it is complete.

    It ends when a stream that was opened after the container's end was read to its own end, or the
    Pod is gone. What could not be had is in the answer's `gaps`.

    Raises:
        ApiError: the API server refuses to show the log.

    """
    log = PodLog()
    refused_since: float | None = None
    while True:
        final = source.ended()
        since = log.resume()
        stream = source.kube.log(source.pod_path, source.container, since=since, follow=not final)
        try:
            async for lines in stream:
                if fresh := [text for line in lines if (text := log.feed(line)) is not None]:
                    take(fresh)
        except ApiError as error:
            if source.gone() or (error.status == 404 and final):
                return log
            # 400: the container is just starting; 404: the Pod may be about to be seen as gone;
            # 5xx and no answer: the server or the node's kubelet is away.
            if error.status in (401, 403):
                refused_since = refused_since or time.monotonic()
                if time.monotonic() - refused_since > _REFUSAL_PATIENCE:
                    raise
        else:
            refused_since = None
            if final:
                return log
        await asyncio.sleep(_PAUSE)


def missing(log: PodLog, build: ContainerLog) -> str | None:
    """Say what of the build's log was lost on its way; None if nothing, as far as can be known."""
    places = "; ".join(
        f"after line {gap.after_line:,} (between {gap.after} and {gap.before})" for gap in log.gaps
    )
    if build.trailer is None:
        if log.remark:
            return f"the node does not give the end of the log: {log.remark[:200]}"
        # Without the script's count, a stream that begins anew after a rotation may lack nothing.
        return f"the log may lack lines where the node rotated it: {places}" if places else None
    lost = build.trailer.lines - (log.lines - 1)
    if lost > 0:
        return (
            f"{lost:,} of {build.trailer.lines:,} lines of the log are missing, "
            f"torn by its rotation on the node: {places or 'at places that the node does not tell'}"
        )
    # The trailer is counted among ours, and a newline may have been added to the last line.
    torn = build.trailer.bytes - (log.bytes - build.size_of_trailer)
    return f"{torn:,} bytes within the lines of the log were lost on the node" if torn > 0 else None
