"""The states of a unit, the table of transitions between them, and what bounds a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dag.core.build.events import ComputeResources, Unit


class UnitState(StrEnum):
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


LIVE = frozenset({UnitState.RUNNING, UnitState.PROVING, UnitState.STOPPING})
SETTLED = frozenset({UnitState.DONE, UnitState.FAILED, UnitState.BLOCKED, UnitState.DROPPED})


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


TRANSITIONS: Mapping[tuple[UnitState, Trigger], UnitState] = {
    (UnitState.WAITING, Trigger.FREED): UnitState.READY,
    (UnitState.WAITING, Trigger.PASSED): UnitState.DONE,
    (UnitState.WAITING, Trigger.BLOCKED): UnitState.BLOCKED,
    (UnitState.WAITING, Trigger.STOPPED): UnitState.DROPPED,
    (UnitState.READY, Trigger.STARTED): UnitState.RUNNING,
    (UnitState.READY, Trigger.STOPPED): UnitState.DROPPED,
    (UnitState.RUNNING, Trigger.SUCCEEDED): UnitState.PROVING,
    (UnitState.RUNNING, Trigger.RETRIED): UnitState.PAUSED,
    (UnitState.RUNNING, Trigger.FAILED): UnitState.FAILED,
    (UnitState.RUNNING, Trigger.STOPPED): UnitState.STOPPING,
    (UnitState.PROVING, Trigger.PROVEN): UnitState.DONE,
    (UnitState.PROVING, Trigger.RETRIED): UnitState.PAUSED,
    (UnitState.PROVING, Trigger.FAILED): UnitState.FAILED,
    # What has ended well is still proven in a stopped run: the work is done.
    (UnitState.PROVING, Trigger.GONE): UnitState.DROPPED,
    (UnitState.STOPPING, Trigger.SUCCEEDED): UnitState.PROVING,
    (UnitState.STOPPING, Trigger.GONE): UnitState.DROPPED,
    (UnitState.PAUSED, Trigger.DUE): UnitState.READY,
    (UnitState.PAUSED, Trigger.STOPPED): UnitState.DROPPED,
}


class InvalidTransitionError(Exception):
    """The scheduler was told something that cannot be: the unit's history says how it came there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """How much may run at once, and how often something is tried again."""

    jobs: int
    capacity: ComputeResources | None = None
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
    resources: ComputeResources
    """What its next attempt gets, or its latest one had."""
    held: ComputeResources | None = None
    """What its live attempt takes out of the capacity."""
    state: UnitState = UnitState.WAITING
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
