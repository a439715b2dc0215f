"""The states of a Pod's watch, the table of transitions between them, and the rules of a watch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dag.core.pod.ending import Ending, PodFacts, how_build_ended
from dag.core.pod.manifest import BUILD

PATIENCE = 900.0
"""Seconds for the API server to come back during a build that goes on without it."""
INTERRUPTED_PATIENCE = 10.0
"""Seconds for it to come back while somebody waits to have their terminal back."""


class WatchState(StrEnum):
    """The state of a watch."""

    CREATING = "creating"
    """The request to create the Pod is on its way."""
    SEARCHING = "searching"
    """That request was given up, and may have made a Pod."""
    WAITING = "waiting"
    """Nothing of the Pod runs that makes progress."""
    WORKING = "working"
    """The main container has started, or a step before it runs."""
    LATE = "late"
    """The build has ended, and a container that takes what it made has not started."""
    DRAINING = "draining"
    """It is known how the work ended; the rest of the logs and the packages are awaited."""
    REMOVING = "removing"
    """The Pod was asked to go."""
    ENDED = "ended"


LIVE = frozenset({WatchState.WAITING, WatchState.WORKING, WatchState.LATE})
"""The Pod exists, and it is not known yet how its work ends."""


class WatchTrigger(StrEnum):
    """The reason why a watch moves: an event, with what it says about the Pod already judged."""

    CREATED = "pod created"
    NOT_CREATED = "no pod was created"
    STALLED = "nothing runs"
    STARTED = "something runs"
    LAGGED = "something that takes packages has not started"
    FINISHED = "the work has ended"
    GAVE_UP = "waited long enough"
    DRAINED = "logs and packages are here"
    UNWANTED = "logs are here, pod is not kept"
    GONE = "pod is gone"
    LEFT = "not waited for any longer"
    FAILED = "a request failed for good"
    INTERRUPTED = "interrupted"


def _transitions() -> Iterator[tuple[WatchState, WatchTrigger, WatchState]]:
    state, trigger = WatchState, WatchTrigger
    yield state.CREATING, trigger.CREATED, state.WAITING
    yield state.CREATING, trigger.INTERRUPTED, state.SEARCHING
    yield state.CREATING, trigger.FAILED, state.ENDED
    yield state.SEARCHING, trigger.CREATED, state.REMOVING
    yield state.SEARCHING, trigger.NOT_CREATED, state.ENDED
    yield state.SEARCHING, trigger.FAILED, state.ENDED
    yield state.SEARCHING, trigger.LEFT, state.ENDED
    # Containers are tried again, and news may come late: from each of these to each other one.
    for one in (state.WAITING, state.WORKING, state.LATE):
        if one is not state.WAITING:
            yield one, trigger.STALLED, state.WAITING
        if one is not state.WORKING:
            yield one, trigger.STARTED, state.WORKING
        if one is not state.LATE:
            yield one, trigger.LAGGED, state.LATE
        yield one, trigger.FINISHED, state.DRAINING
        yield one, trigger.GAVE_UP, state.REMOVING
        yield one, trigger.FAILED, state.ENDED
        yield one, trigger.INTERRUPTED, state.REMOVING
    yield state.DRAINING, trigger.DRAINED, state.ENDED
    yield state.DRAINING, trigger.UNWANTED, state.REMOVING
    yield state.DRAINING, trigger.FAILED, state.ENDED
    yield state.DRAINING, trigger.INTERRUPTED, state.REMOVING
    yield state.REMOVING, trigger.GONE, state.ENDED
    yield state.REMOVING, trigger.LEFT, state.ENDED
    yield state.REMOVING, trigger.FAILED, state.ENDED
    # Somebody who interrupts what removes the Pod anyway changes only how that is told.
    yield state.REMOVING, trigger.INTERRUPTED, state.REMOVING


TRANSITIONS: Mapping[tuple[WatchState, WatchTrigger], WatchState] = {
    (before, trigger): after for before, trigger, after in _transitions()
}


def state_diagram() -> str:
    """Return the table as a diagram in Mermaid's notation, for the documentation."""
    lines = ["stateDiagram-v2", f"    [*] --> {WatchState.CREATING}"]
    for (before, trigger), after in TRANSITIONS.items():
        lines.append(f"    {before} --> {after}: {trigger}")
    return "\n".join([*lines, f"    {WatchState.ENDED} --> [*]"]) + "\n"


class InvalidWatchTransitionError(Exception):
    """The watch moved in a way that its table does not have: its history says how it came there."""


def state_after(
    before: WatchState, trigger: WatchTrigger, history: Sequence[tuple[float, WatchTrigger]]
) -> WatchState:
    """Return the state that a trigger leads to.

    Raises:
        InvalidWatchTransitionError: the table has no such transition.

    """
    after = TRANSITIONS.get((before, trigger))
    if after is None:
        past = ", ".join(f"{then:g}: {what.value}" for then, what in history)
        raise InvalidWatchTransitionError(f"the watch is {before.value}; history: {past}")
    return after


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRules:
    """The purpose and the limits of a watch. Durations are in seconds."""

    pending_timeout: float
    """How long nothing may run before the main container has started."""
    pending_flag: str = ""
    """The flag that says so, to be named when that time is over."""
    hopeless_grace: float = 10.0
    """How long a cause is waited for that cannot heal: an image that a registry does not have may be
    one that is just being pushed."""
    stalled_grace: float = math.inf
    """How long a cause is waited for that may heal, while no image is being pulled."""
    timeout: float = math.inf
    """How long it may take from the Pod's creation until its work has ended."""
    main: str = BUILD
    """The container that does the work."""
    how_ended: Callable[[PodFacts], Ending | None] = how_build_ended
    """What judges how the work ended; it returns None while the work goes on."""
    tells_creation: bool = True
    """Whether it is said that the Pod was made."""
    reads_logs: bool = True
    fetches: bool = False
    """Whether what was built is brought back."""
    saved_log: str = ""
    """Where the whole log of the build is among what is brought back."""
    keeps_pod: bool = True
    """Whether a Pod that came to working stays when it has ended."""
    awaits_removal: bool = True
    """Whether the watch goes on until a Pod that was deleted is gone."""
