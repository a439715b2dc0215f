"""Events that the scheduler is told, and actions that it asks for.

Times are seconds of one clock that only moves forward; memory is bytes, CPU millicores. An attempt
is one try at a unit, numbered from 1. An event about an attempt that is not the unit's live one any
more is late and changes nothing.
"""

from __future__ import annotations

from msgspec import Struct

from dag.core.build.usage import Usage


class ComputeResources(Struct, frozen=True, order=True):
    """The resources that a unit needs while it runs, or that a machine has: millicores and bytes."""

    cpu: int
    ram: int
    disk: int = 0
    """0 where nobody counts it: only nodes of a cluster do."""


class Unit(Struct, frozen=True):
    """One thing to build, and what must be proven before it may start.

    A gate (`is_gate`) builds nothing: it is done as soon as its needs are. A set of needs that many
    units share (the runtime closure of a build environment) is written once, as a gate.
    """

    key: str
    needs: tuple[str, ...] = ()
    resources: ComputeResources = ComputeResources(1000, 2 << 30)
    seconds: float = 1.0
    """How long it will take: the time that the store remembers, or a guess."""
    is_gate: bool = False


# ---- events -----------------------------------------------------------------------------------


class _Event(Struct, frozen=True, tag_field="event", tag=True):
    """An event; the journal writes its class's name as `event`."""


class _EventOfAttempt(_Event, frozen=True, kw_only=True):
    used: Usage | None = None
    """What the attempt took, if it has just ended and somebody knows."""


class Began(_Event, frozen=True):
    """The run begins: everything that is ready may start.

    Attempts are (key, number). `live` attempts were started before this scheduler was made and may
    go on: `Start` comes for each that may still run. `past` ones have ended; the numbers of new
    attempts follow theirs.
    """

    live: tuple[tuple[str, int], ...] = ()
    past: tuple[tuple[str, int], ...] = ()


class Succeeded(_EventOfAttempt, frozen=True):
    """The attempt says that it built the unit. Nobody believes that yet: see `ProvePackages`."""

    key: str
    attempt: int


class Proven(_EventOfAttempt, frozen=True):
    """The store holds everything that the unit promises."""

    key: str
    attempt: int
    results: int = 1
    """How many different results the store has of just what went into it."""
    gives: tuple[str, ...] = ()
    """Every name that its packages turned out to provide."""
    result: str = ""
    """Its record's result, where the store may have several."""
    differences: tuple[str, ...] = ()
    """What is different from the first build, in words, if this was a second one."""


class Unchanged(_EventOfAttempt, frozen=True):
    """Nothing was built, because the store has a record of just what goes into the unit."""

    key: str
    attempt: int
    gives: tuple[str, ...] = ()
    """Every name that its packages provide."""
    result: str = ""
    """The result of that record, where the store may have several."""


class Broke(_EventOfAttempt, frozen=True):
    """The build failed, or built something else than was promised: to repeat it rarely helps."""

    key: str
    attempt: int
    cause: str
    lines: tuple[str, ...] = ()
    """The last lines of its log."""
    is_fault: bool = False
    """Whether that was because of something around the build, such as the network, after all."""


class Lacked(_EventOfAttempt, frozen=True):
    """The build could not begin, because a package of its environment turned out to need something.

    Another unit may give these `names`.
    """

    key: str
    attempt: int
    names: tuple[str, ...]
    cause: str
    lines: tuple[str, ...] = ()


class OutOfMemory(_EventOfAttempt, frozen=True):
    """The attempt was killed for its memory."""

    key: str
    attempt: int
    cause: str
    lines: tuple[str, ...] = ()


class Faulted(_EventOfAttempt, frozen=True):
    """Something around the build failed (a lost node, a full disk); the package is not at fault."""

    key: str
    attempt: int
    cause: str
    lines: tuple[str, ...] = ()
    disrupted: bool = False
    """Whether somebody took its place for reasons of his own: that may happen any number of times."""
    wants_disk: bool = False
    """Whether it had to go because its node ran short of disk: the next attempt asks for more."""


class Cancelled(_EventOfAttempt, frozen=True):
    """The attempt is gone because `Cancel` asked for it."""

    key: str
    attempt: int


class Ticked(_Event, frozen=True):
    """Time has passed: this answers `WakeAt`."""


class StopRequested(_Event, frozen=True):
    """Somebody wants the run to end: nothing new starts, and running attempts are cancelled."""

    cause: str


AttemptEvent = Succeeded | Proven | Unchanged | Broke | Lacked | OutOfMemory | Faulted | Cancelled
Event = Began | Ticked | StopRequested | AttemptEvent


INTERRUPTED = "interrupted"
"""The cause if a person stopped the run."""


# ---- actions ----------------------------------------------------------------------------------


class Start(Struct, frozen=True):
    """Start this attempt, with these resources."""

    key: str
    attempt: int
    resources: ComputeResources


class ProvePackages(Struct, frozen=True):
    """Check whether the attempt made what the unit promises, and keep that if it did."""

    key: str
    attempt: int


class Cancel(Struct, frozen=True):
    """End the attempt; `Cancelled` (or whatever else ended it first) must come back."""

    key: str
    attempt: int


class Retry(Struct, frozen=True):
    """Tell that the unit will be tried again from `when` on; there is nothing to do."""

    key: str
    attempt: int
    cause: str
    when: float


class Await(Struct, frozen=True):
    """Tell that the unit waits for another one that gives something; there is nothing to do."""

    key: str
    attempt: int
    cause: str


class Settled(Struct, frozen=True):
    """Tell that nothing more will happen to this unit; there is nothing to do."""

    key: str


class WakeAt(Struct, frozen=True):
    """Send `Ticked` at `when` or later."""

    when: float


class Finish(Struct, frozen=True):
    """End the run: every unit is settled, and no attempt lives."""


Action = Start | ProvePackages | Cancel | Retry | Await | Settled | WakeAt | Finish
