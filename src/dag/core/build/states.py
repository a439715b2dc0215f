"""The states of a unit, the table of transitions between them, and the limits of a run."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from dag.core.build.events import ComputeResources, Unit
from dag.core.build.usage import Usage


class UnitState(StrEnum):
    """The state of a unit."""

    WAITING = "waiting"
    """Something that it needs is not proven yet."""
    READY = "ready"
    RUNNING = "running"
    PROVING = "proving"
    """The attempt says that it built the unit; the store is asked."""
    PAUSED = "paused"
    """It waits some seconds before it is tried again."""
    LACKING = "lacking"
    """Its environment lacks what a package turned out to need; another unit may give that."""
    STOPPING = "stopping"
    """It was cancelled and is not gone yet."""
    DONE = "done"
    FAILED = "failed"
    UNCHANGED = "unchanged"
    """Nothing that goes into it is other than when it was built, so it was not built again."""
    BLOCKED = "blocked"
    """Something that it needs failed."""
    DROPPED = "dropped"
    """The run was stopped before this was built."""


LIVE = frozenset({UnitState.RUNNING, UnitState.PROVING, UnitState.STOPPING})
DORMANT = frozenset({UnitState.WAITING, UnitState.READY, UnitState.PAUSED, UnitState.LACKING})
"""The states of units that are not settled and have no attempt."""
THERE = frozenset({UnitState.DONE, UnitState.UNCHANGED})
"""The store has what such a unit promises."""
SETTLED = THERE | {UnitState.FAILED, UnitState.BLOCKED, UnitState.DROPPED}


class Trigger(StrEnum):
    """The cause of a transition: an event, and whether the unit may be tried again after it."""

    FREED = "needs proven"
    PASSED = "needs of a gate proven"
    STARTED = "started"
    SUCCEEDED = "attempt succeeded"
    PROVEN = "outputs proven"
    UNCHANGED = "nothing that goes into it changed"
    RETRIED = "failed, may be tried again"
    FAILED = "failed for good"
    DUE = "pause is over"
    LACKED = "environment lacks something"
    SUPPLIED = "a unit gives what was lacking"
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
    (UnitState.RUNNING, Trigger.UNCHANGED): UnitState.UNCHANGED,
    (UnitState.RUNNING, Trigger.RETRIED): UnitState.PAUSED,
    (UnitState.RUNNING, Trigger.FAILED): UnitState.FAILED,
    (UnitState.RUNNING, Trigger.STOPPED): UnitState.STOPPING,
    (UnitState.PROVING, Trigger.PROVEN): UnitState.DONE,
    (UnitState.PROVING, Trigger.RETRIED): UnitState.PAUSED,
    (UnitState.PROVING, Trigger.FAILED): UnitState.FAILED,
    # An attempt that ended well is still proven in a stopped run, because its work is done.
    (UnitState.PROVING, Trigger.GONE): UnitState.DROPPED,
    (UnitState.STOPPING, Trigger.SUCCEEDED): UnitState.PROVING,
    (UnitState.STOPPING, Trigger.UNCHANGED): UnitState.UNCHANGED,
    (UnitState.STOPPING, Trigger.GONE): UnitState.DROPPED,
    (UnitState.RUNNING, Trigger.LACKED): UnitState.LACKING,
    (UnitState.LACKING, Trigger.SUPPLIED): UnitState.READY,
    (UnitState.LACKING, Trigger.FAILED): UnitState.FAILED,
    (UnitState.LACKING, Trigger.STOPPED): UnitState.DROPPED,
    (UnitState.PAUSED, Trigger.DUE): UnitState.READY,
    (UnitState.PAUSED, Trigger.STOPPED): UnitState.DROPPED,
}


class InvalidTransitionError(Exception):
    """The scheduler was told of something that cannot happen; the message has the unit's history."""


class RunLimits(Struct, frozen=True, kw_only=True):
    """The limits of a run: how much runs at once, and how often something is tried again."""

    jobs: Annotated[int, Meta(ge=1)]
    """How many attempts may live at once."""
    capacity: ComputeResources | None = None
    """The resources for all live attempts together; None if somebody else counts them."""
    max_ram: int | None = None
    """How many bytes a unit may get after it ran out of memory; None if it is not tried again."""
    max_disk: int | None = None
    """How many bytes of disk a unit may ask for after its node ran short; None if it asks for no more."""
    retries: int = 0
    """How often a failed build is tried again."""
    faults: int = 5
    """How often a unit is tried again after faults around it; these do not count as `retries`."""
    first_pause: float = 1.0
    """Seconds before the first retry after a fault; each pause is twice the one before it."""
    longest_pause: float = 60.0
    """The longest such pause, in seconds."""
    fail_fast: bool = False
    """Whether the first failure stops the run."""

    def clamp(self, resources: ComputeResources) -> ComputeResources:
        """Return what a unit gets that asks for this: everything, alone, if it asks for more."""
        if self.capacity is None:
            return resources
        return replace(
            resources,
            cpu=min(resources.cpu, self.capacity.cpu),
            ram=min(resources.ram, self.capacity.ram),
        )

    def with_more_ram(self, resources: ComputeResources) -> ComputeResources:
        """Return twice the memory, as far as a unit may have it that ran out of it."""
        most = self.max_ram or 0
        if self.capacity is not None:
            most = min(most, self.capacity.ram)
        return replace(resources, ram=max(resources.ram, min(2 * resources.ram, most)))

    def with_more_disk(self, resources: ComputeResources) -> ComputeResources:
        """Return twice the disk, as far as a unit may ask for it whose node ran short."""
        most = self.max_disk or 0
        return replace(resources, disk=max(resources.disk, min(2 * resources.disk, most)))

    def pause_after(self, faults: int) -> float | None:
        """Return the seconds until a unit with so many faults is tried again; None if it is not."""
        if faults > self.faults:
            return None
        # 2.0 ** 1024 would overflow, and nobody waits for the 64th doubling.
        return min(self.first_pause * 2.0 ** min(faults - 1, 64), self.longest_pause)


class Progress(Struct):
    """The progress of one unit. Only the scheduler changes it."""

    unit: Unit
    rank: float
    """The seconds from its start to the end of the longest path that begins with it."""
    resources: ComputeResources
    """The resources that its next attempt gets, or that its latest one had."""
    held: ComputeResources | None = None
    """The resources that its live attempt takes out of the capacity."""
    state: UnitState = UnitState.WAITING
    missing: int = 0
    """How many of its needs are not proven yet."""
    attempt: int = 0
    """The number of the latest attempt; 0 before the first."""
    broken: int = 0
    """How often its build failed."""
    is_at_fault: bool = True
    """Whether it was itself the reason when its build failed the last time."""
    faults: int = 0
    """How often something around its build failed."""
    cause: str = ""
    """Why the latest attempt failed, or why the unit was dropped."""
    lines: tuple[str, ...] = ()
    """The last lines of the latest failed attempt."""
    blocked_by: str | None = None
    """The unit whose failure keeps this one from being built."""
    started: float | None = None
    """When the latest attempt started, in the clock of `now`."""
    ended: float | None = None
    used: Usage | None = None
    """What the latest attempt took, if somebody knows."""
    results: int = 1
    """How many different results the store has of just what went into it."""
    differences: tuple[str, ...] = ()
    """What is different from the first build, in words, if this is a second one."""
    history: list[tuple[float, Trigger]] = field(default_factory=list)
