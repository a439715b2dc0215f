"""The logs of all containers of one Pod, each read by a `LogReader` of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dag.core.kube.objects import KubeView
from dag.core.pod.ending import TAKEN_AWAY, Ending
from dag.core.pod.events import DropLogs, LogBroke, LogEnded, LogRead, PrintLog, ReadLog
from dag.core.pod.lastwords import counted_log
from dag.core.pod.manifest import BUILD, OUT
from dag.core.pod.reading import LogReader, ReadingState, describe_loss
from dag.core.pod.status import containers, has_ended, has_started
from dag.errors import DagError

# After a Pod is lost, its logs get this many seconds to end by themselves.
_GRACE = 5.0
# … and a whole one as long as its end may take to be read.
_PATIENCE = 300.0


def log_patience(ending: Ending) -> float:
    """Return how many seconds the rest of the logs may take after the work has ended."""
    return _GRACE if ending.cause in TAKEN_AWAY else _PATIENCE


class PodLogs:
    """The readers of a Pod's logs, by container."""

    def __init__(self) -> None:
        self.readers: dict[str, LogReader] = {}

    def open_started(self, pod: KubeView, *, gone: bool) -> Iterator[ReadLog]:
        """Yield a request for each container that has started, the first time it is seen so."""
        for name, container in containers(pod).items():
            # The container that serves the packages has nothing to say.
            if name not in self.readers and name != OUT and has_started(container):
                self.readers[name] = reader = LogReader(name)
                yield _open(reader, container, gone=gone)

    def reopen_due(self, pod: KubeView, now: float, *, gone: bool) -> Iterator[ReadLog]:
        """Yield a request for each log whose pause is over."""
        for name, reader in self.readers.items():
            if reader.due is not None and reader.due <= now:
                yield _open(reader, containers(pod).get(name, {}), gone=gone)

    def take_lines(self, event: LogRead) -> Iterator[PrintLog]:
        """Yield what is new among lines that arrived."""
        reader = self.readers.get(event.container)
        if reader is not None and reader.expects(event.stream):
            printed = reader.take(event.lines)
            if printed is not None:
                yield printed

    def take_end(self, event: LogEnded | LogBroke, now: float, *, gone: bool) -> DagError | None:
        """Take note of the end of a stream; return the error if the log can never be had."""
        reader = self.readers.get(event.container)
        if reader is None or not reader.expects(event.stream):
            return None
        if isinstance(event, LogBroke):
            return reader.fail(event.status, event.error, now, gone=gone)
        reader.end(now)
        return None

    def drop(self) -> Iterator[DropLogs]:
        """Give up what has not arrived; yield the action for it, if anything is still open."""
        if any(reader.is_open for reader in self.readers.values()):
            yield DropLogs()
        for reader in self.readers.values():
            reader.drop()

    def are_open(self, names: Collection[str]) -> bool:
        """Return whether more may come of a log of one of these containers."""
        return any(one.is_open for name, one in self.readers.items() if name in names)

    def dues(self) -> Iterator[float]:
        """Yield when streams are opened anew."""
        return (one.due for one in self.readers.values() if one.due is not None)

    def loss(self, *, has_end: bool) -> str | None:
        """Return what is missing of the build's log, as far as its end was read.

        `has_end` says that the build's script has written its last line.
        """
        build = self.readers.get(BUILD)
        if build is None or build.state is not ReadingState.WHOLE:
            return None
        lost = describe_loss(build.log, build.kept, build.told)
        if lost or not has_end or build.told or build.kept.trailer or not build.log.lines:
            return lost
        return f"the node gave no more than {build.log.lines:,} lines of the log, and not its end"


def _open(reader: LogReader, container: KubeView, *, gone: bool) -> ReadLog:
    """Return the request for the next stream of a container's log."""
    told = counted_log(container) if reader.container == BUILD else None
    return reader.open(ended=gone or has_ended(container), told=told)
