"""The states of a unit, the table of transitions between them, and what bounds a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dag.core.build.events import Resources, Unit


class State(StrEnum):
    """Where a unit is."""

    WAITING = "waiting"
    """Something that it needs is not proven yet."""
    READY = "ready"
    RUNNING = "running"
    PROVING = "proving"
    """The attempt says that it built the unit; the store is asked."""
    PAUSED = "paused"
    """Waits some seconds before it is tried again."""
    STOPPING = "stopping"
    """Was cancelled, and is not gone yet."""
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"
    """Something that it needs failed."""
    DROPPED = "dropped"
    """The run was stopped before this was built."""


LIVE = frozenset({State.RUNNING, State.PROVING, State.STOPPING})
SETTLED = frozenset({State.DONE, State.FAILED, State.BLOCKED, State.DROPPED})


class Trigger(StrEnum):
    """What moves a unit: an event, with the budgets for retries already counted in."""

    FREED = "needs proven"
    PASSED = "needs of a gate proven"
    STARTED = "started"
    SUCCEEDED = "attempt succeeded"
    PROVEN = "outputs proven"
    RETRIED = "failed, may be tried again"
    FAILED = "failed for good"
    DUE = "pause is over"
    BLOCKED = "a need failed"
    STOPPED = "run is stopped"
    GONE = "attempt ended in a stopped run"


TRANSITIONS: Mapping[tuple[State, Trigger], State] = {
    (State.WAITING, Trigger.FREED): State.READY,
    (State.WAITING, Trigger.PASSED): State.DONE,
    (State.WAITING, Trigger.BLOCKED): State.BLOCKED,
    (State.WAITING, Trigger.STOPPED): State.DROPPED,
    (State.READY, Trigger.STARTED): State.RUNNING,
    (State.READY, Trigger.STOPPED): State.DROPPED,
    (State.RUNNING, Trigger.SUCCEEDED): State.PROVING,
    (State.RUNNING, Trigger.RETRIED): State.PAUSED,
    (State.RUNNING, Trigger.FAILED): State.FAILED,
    (State.RUNNING, Trigger.STOPPED): State.STOPPING,
    (State.PROVING, Trigger.PROVEN): State.DONE,
    (State.PROVING, Trigger.RETRIED): State.PAUSED,
    (State.PROVING, Trigger.FAILED): State.FAILED,
    # What has ended well is still proven in a stopped run: the work is done.
    (State.PROVING, Trigger.GONE): State.DROPPED,
    (State.STOPPING, Trigger.SUCCEEDED): State.PROVING,
    (State.STOPPING, Trigger.GONE): State.DROPPED,
    (State.PAUSED, Trigger.DUE): State.READY,
    (State.PAUSED, Trigger.STOPPED): State.DROPPED,
}


class InvalidTransitionError(Exception):
    """The scheduler was told something that cannot be: the unit's history says how it came there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may run at once, and how often something is tried again."""

    jobs: int
    capacity: Resources | None = None
    """What there is for all live attempts together; None: somebody else counts that."""
    max_ram: int | None = None
    """The most that a unit may be given after it ran out of memory, in bytes; None: no retry."""
    retries: int = 0
    """Of a build that failed."""
    faults: int = 5
    """Of an attempt that ended without its own fault; these never use up `retries`."""
    first_pause: float = 1.0
    longest_pause: float = 60.0
    """Seconds before the first retry after a fault, doubled each time, up to the second."""
    fail_fast: bool = False


@dataclass(slots=True)
class Progress:
    """What is known of one unit. Only the scheduler writes it."""

    unit: Unit
    rank: float
    """Seconds from its start to the end of the longest path behind it."""
    resources: Resources
    """What its next attempt gets, or its latest one had."""
    held: Resources | None = None
    """What its live attempt takes out of the capacity."""
    state: State = State.WAITING
    missing: int = 0
    attempt: int = 0
    broken: int = 0
    faults: int = 0
    cause: str = ""
    lines: tuple[str, ...] = ()
    blocked_by: str | None = None
    started: float | None = None
    """When the latest attempt started, in the clock of `now`."""
    ended: float | None = None
    freed_by: str | None = None
    """The need that was proven last."""
    history: list[tuple[float, Trigger]] = field(default_factory=list)
