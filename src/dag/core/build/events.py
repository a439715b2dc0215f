"""What the scheduler is told and what it answers: events in, actions out.

Times are seconds of one clock that only moves forward; memory is bytes, CPU millicores. An attempt
is one try at a unit, numbered from 1. Whatever an event says of an attempt that is no longer the
unit's live one is late and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ComputeResources:
    """What a unit needs while it runs, or what a machine has: millicores and bytes."""

    cpu: int
    ram: int


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing to build, and what must be proven before it may start.

    A gate (`is_gate`) builds nothing: it is done as soon as its needs are. Sets of needs that many
    units share (the runtime closure of a build environment) are said once with it.
    """

    key: str
    needs: tuple[str, ...] = ()
    resources: ComputeResources = ComputeResources(1000, 2 << 30)
    seconds: float = 1.0
    """How long it will take: what the store remembers, or a guess."""
    is_gate: bool = False


# ---- events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Began:
    """The run begins: everything that is ready may start.

    Attempts are (key, number). `live` ones were started before this scheduler was made and may go
    on: `Start` comes for each that still may run. `past` ones have ended; numbers go on from them.
    """

    live: tuple[tuple[str, int], ...] = ()
    past: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The attempt says that it built the unit. That is not yet believed: see `ProvePackages`."""

    key: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Proven:
    """The store holds everything that the unit promises."""

    key: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Broke:
    """The build failed, or built something else than it promised: repeating it rarely helps."""

    key: str
    attempt: int
    cause: str
    lines: tuple[str, ...] = ()
    """The last lines of its log."""


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The attempt was killed for its memory."""

    key: str
    attempt: int
    cause: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Faulted:
    """Something around the build failed (a lost node, a full disk): no fault of the package."""

    key: str
    attempt: int
    cause: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The attempt is gone, because `Cancel` asked for it."""

    key: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed: an answer to `WakeAt`."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody wants the run to end: nothing new starts, and what runs is cancelled."""

    cause: str


AttemptEvent = Succeeded | Proven | Broke | OutOfMemory | Faulted | Cancelled
Event = Began | Ticked | StopRequested | AttemptEvent


INTERRUPTED = "interrupted"
"""The cause if a person stopped the run."""


# ---- actions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Start this attempt, with these resources."""

    key: str
    attempt: int
    resources: ComputeResources


@dataclass(frozen=True, slots=True)
class ProvePackages:
    """See whether the attempt made what the unit promises, and keep it if so."""

    key: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the attempt; `Cancelled` (or whatever else ended it first) must come back."""

    key: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Retry:
    """Nothing to do, only to tell: the unit will be tried again from `when` on."""

    key: str
    attempt: int
    cause: str
    when: float


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing to do, only to tell: nothing more will happen to this unit."""

    key: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send `Ticked` at `when` or later."""

    when: float


@dataclass(frozen=True, slots=True)
class Finish:
    """Every unit is settled and no attempt lives."""


Action = Start | ProvePackages | Cancel | Retry | Settled | WakeAt | Finish
