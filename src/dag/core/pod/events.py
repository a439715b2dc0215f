"""The events that a Pod's watch takes, and the actions that it returns.

Times are seconds of one clock that only moves forward. An event may come twice, late or never: a
connection breaks, an API server restarts. `Ticked` and `WakeAt` are those of a build's scheduler.
Nothing here knows of a terminal or of how many Pods there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dag.core.build.events import Ticked, WakeAt
from dag.core.kube.objects import KubeView
from dag.core.pod.ending import Ending
from dag.errors import DagError

__all__ = ["Ticked", "WakeAt"]

# ---- events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PodCreated:
    """The API server has made the Pod; the answer to a creation, or to `FindPod`."""

    pod: KubeView


@dataclass(frozen=True, slots=True)
class PodNotCreated:
    """`FindPod` found nothing: the creation was never made."""


@dataclass(frozen=True, slots=True)
class PodSeen:
    """The Pod as a list or a watch shows it."""

    pod: KubeView


@dataclass(frozen=True, slots=True)
class PodGone:
    """The Pod is no longer in the API: a watch said so, or a list does not have it."""

    pod: KubeView
    """Its last known state."""


@dataclass(frozen=True, slots=True)
class NewsStopped:
    """The watch broke off: what is known of the Pod may be old."""


@dataclass(frozen=True, slots=True)
class NewsResumed:
    """A list has told everything that had changed: what is known of the Pod is new."""


@dataclass(frozen=True, slots=True)
class PodEventSeen:
    """An Event of the API that is about the Pod."""

    event: KubeView


@dataclass(frozen=True, slots=True)
class PodEventsHidden:
    """Events cannot be read: this user may not, or the server has none."""


@dataclass(frozen=True, slots=True)
class LogRead:
    """Lines of a container's log arrived, each with its timestamp, none with its newline."""

    container: str
    stream: int
    """That of `ReadLog`; what comes of an earlier one is late and changes nothing."""
    lines: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class LogEnded:
    """The stream that `ReadLog` opened was read to its own end."""

    container: str
    stream: int


@dataclass(frozen=True, slots=True)
class LogBroke:
    """The stream that `ReadLog` opened could not be had, or broke off."""

    container: str
    stream: int
    status: int
    """HTTP's status, 0 if there was no answer."""
    error: DagError


@dataclass(frozen=True, slots=True)
class PackagesFetched:
    """`FetchPackages` has ended, with an error or, if that is None, with everything here."""

    error: DagError | None = None


@dataclass(frozen=True, slots=True)
class DeletionAccepted:
    """The API server has been asked to delete the Pod; with `existed` false it was gone already."""

    existed: bool = True


@dataclass(frozen=True, slots=True)
class WatchFailed:
    """Something that the watch rests on failed for good, such as a request to the API server."""

    error: DagError


@dataclass(frozen=True, slots=True)
class InterruptRequested:
    """Somebody wants this to end: the Pod is deleted first. The second time it ends at once."""


PodNews = PodSeen | PodGone | NewsStopped | NewsResumed | PodEventSeen | PodEventsHidden
"""What the API tells of itself."""
PodAnswer = PodCreated | PodNotCreated | PackagesFetched | DeletionAccepted | WatchFailed
"""What an action came to."""
LogEvent = LogRead | LogEnded | LogBroke
PodEvent = PodNews | PodAnswer | LogEvent | InterruptRequested | Ticked


# ---- actions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tell:
    """Say this to whoever waits for the Pod; with `detail`, only to those who want to know more."""

    text: str
    detail: bool = False


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Open a stream of a container's log; `LogRead`, then `LogEnded` or `LogBroke` must come back."""

    container: str
    stream: int
    """Counts the streams of this log, from 1."""
    since: datetime | None
    """From when on lines are asked for; None is the beginning."""
    follow: bool
    """Whether the stream goes on as long as the container does."""


@dataclass(frozen=True, slots=True)
class PrintLog:
    """Pass lines of a container's log on."""

    container: str
    lines: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class DropLogs:
    """Close all streams of logs: nobody waits for them any longer."""


@dataclass(frozen=True, slots=True)
class FetchPackages:
    """Bring back what was built; `PackagesFetched` must come back."""


@dataclass(frozen=True, slots=True)
class DropFetch:
    """Stop bringing back what was built, and leave nothing unfinished."""


@dataclass(frozen=True, slots=True)
class FindPod:
    """Give up the request to create, and find the Pod that it may have made.

    `PodCreated` or `PodNotCreated` must come back, or `WatchFailed`.
    """

    patience: float
    """Seconds for which the request is repeated while the API server does not answer."""


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete the Pod; `DeletionAccepted` or `WatchFailed` must come back, and in time `PodGone`."""

    patience: float
    """Seconds for which the request is repeated while the API server does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodResult:
    """The end of a Pod's work, and the last lines of the log of the container that tells."""

    name: str
    """The Pod's; empty if there never was one."""
    ending: Ending
    step: str = ""
    """What melange says of the step that failed; empty if it says nothing."""
    tail: tuple[str, ...] = ()
    failed_target: str | None = None
    kept: bool = True
    """Whether the Pod is still there, and with it its log."""
    seconds: float = 0.0
    """From its creation to the end of the watch."""
    label: str = ""
    """The architecture, where there are several."""


@dataclass(frozen=True, slots=True)
class Conclude:
    """The watch has ended with this result. No action follows."""

    result: PodResult


@dataclass(frozen=True, slots=True)
class Abort:
    """The watch has ended with this error. No action follows."""

    error: DagError


PodAction = (
    Tell
    | ReadLog
    | PrintLog
    | DropLogs
    | FetchPackages
    | DropFetch
    | FindPod
    | DeletePod
    | WakeAt
    | Conclude
    | Abort
)
