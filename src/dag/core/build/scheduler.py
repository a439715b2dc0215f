"""The scheduler: a pure state machine, `handle(event, now)` → actions.

`dag.core.build.states` has the table of its transitions. It knows nothing of processes or pods. Of
the units that are ready, the one with the longest remaining path starts first. An event costs
O(log units) plus O(kinds of resource requests) for each unit that starts, and each edge of the
graph is walked once, when the unit before it is settled.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import assert_never

from dag.core.build.events import (
    INTERRUPTED,
    Action,
    AttemptEvent,
    Await,
    Began,
    Broke,
    Cancel,
    Cancelled,
    ComputeResources,
    Event,
    Faulted,
    Finish,
    Lacked,
    OutOfMemory,
    Proven,
    ProvePackages,
    Retry,
    Settled,
    Start,
    StopRequested,
    Succeeded,
    Ticked,
    Unchanged,
    Unit,
    WakeAt,
)
from dag.core.build.lacking import LackingUnits
from dag.core.build.ranks import Links, remaining_paths
from dag.core.build.ready import ReadyQueue
from dag.core.build.states import (
    DORMANT,
    LIVE,
    SETTLED,
    TRANSITIONS,
    InvalidTransitionError,
    Progress,
    RunLimits,
    Trigger,
    UnitState,
)


class Scheduler:
    """The scheduler of one run. `handle` is the only way to change it."""

    def __init__(self, units: Iterable[Unit], limits: RunLimits) -> None:
        """Take the units of a run; a need that is not one of the units counts as proven.

        Raises:
            ValueError: two units have one key, or the needs form a cycle.

        """
        given: dict[str, Unit] = {}
        for unit in units:
            if given.setdefault(unit.key, unit) is not unit:
                raise ValueError(f"two units are called {unit.key}")
        links = Links(given)
        ranks = remaining_paths(given, links)
        self.limits = limits
        self.units: dict[str, Progress] = {
            key: Progress(unit, ranks[key], limits.clamp(unit.resources))
            for key, unit in given.items()
        }
        self.counts = Counter({UnitState.WAITING: sum(not unit.is_gate for unit in given.values())})
        """The number of units by state; gates are not counted."""
        self.stopped: str | None = None
        self.finished = self._began = False
        self.cpu = self.ram = 0
        self.work = math.fsum(u.seconds for u in given.values() if not u.is_gate)
        """The expected seconds of all units that are not settled."""
        self._taken = self._expected = 0.0
        """The seconds that the proven units took, and those that they were expected to take."""
        self._dependents = links.dependents
        for key, missing in links.missing.items():
            self.units[key].missing = missing
        self._unsettled = len(self.units)
        self._ready = ReadyQueue(self.units)
        self._pauses: list[tuple[float, str]] = []
        self._actions: list[Action] = []
        self._live: dict[str, None] = {}
        self._lacking = LackingUnits()

    @property
    def live(self) -> list[str]:
        """Return the units that have a live attempt, in the order in which these started."""
        return list(self._live)

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take one event at `now` seconds; return what has to be done about it, in that order.

        Raises:
            InvalidTransitionError: the event cannot happen to that unit in its state.

        """
        self._actions = []
        match event:
            case Began():
                self._begin(event, now)
            case Ticked():
                pass
            case StopRequested(cause):
                self._stop(cause, now)
            case _:
                self._handle_attempt(event, now)
        self._wake(now)
        self._fill(now)
        self._give_up(now)
        if self._began and not self.finished and not self._unsettled:
            self.finished = True
            self._actions.append(Finish())
        return self._actions

    # ---- events -------------------------------------------------------------------------------

    def _begin(self, event: Began, now: float) -> None:
        if self._began:
            raise InvalidTransitionError("the run began twice")
        self._began = True
        for key, progress in self.units.items():
            if progress.missing == 0 and progress.state is UnitState.WAITING:
                self._free(key, now)
        for key, attempt in event.past:
            if key in self.units:
                self.units[key].attempt = max(self.units[key].attempt, attempt)
        for key, attempt in event.live:
            self._adopt(key, attempt, now)

    def _handle_attempt(self, event: AttemptEvent, now: float) -> None:
        progress = self.units.get(event.key)
        if progress is None or event.attempt != progress.attempt or progress.state not in LIVE:
            return  # it is late: its attempt was given up, or the event came twice
        progress.used = event.used or progress.used
        match event:
            case Succeeded():
                if progress.state is not UnitState.PROVING:
                    self._move(event.key, Trigger.SUCCEEDED, now)
                    self._actions.append(ProvePackages(event.key, event.attempt))
            case Proven() | Unchanged():
                self._prove(event, now)
            case Lacked():
                self._lack(event, now)
            case Cancelled():
                self._fail(event.key, "cancelled", (), None, now)
            case Broke():
                progress.broken, progress.is_at_fault = progress.broken + 1, not event.is_fault
                pause = 0.0 if progress.broken <= self.limits.retries else None
                self._fail(event.key, event.cause, event.lines, pause, now)
            case OutOfMemory():
                more = self.limits.with_more_ram(progress.resources)
                pause = None if more == progress.resources else 0.0
                progress.resources = more
                self._fail(event.key, event.cause, event.lines, pause, now)
            case Faulted():
                self._fault(event, now)
            case _:
                assert_never(event)

    def _fault(self, event: Faulted, now: float) -> None:
        progress = self.units[event.key]
        progress.faults += not event.disrupted
        if event.wants_disk:
            progress.resources = self.limits.with_more_disk(progress.resources)
        pause = self.limits.pause_after(max(1, progress.faults))
        self._fail(event.key, event.cause, event.lines, pause, now)

    def _prove(self, event: Proven | Unchanged, now: float) -> None:
        progress = self.units[event.key]
        progress.ended = now
        if isinstance(event, Proven):
            progress.results, progress.differences = event.results, event.differences
            self._taken += now - (now if progress.started is None else progress.started)
            self._expected += progress.unit.seconds
            self._move(event.key, Trigger.PROVEN, now)
        else:
            self._move(event.key, Trigger.UNCHANGED, now)
        self._release(event.key, now)
        for key in self._lacking.supply(event.gives):
            self._queue(key, Trigger.SUPPLIED, now)

    def _adopt(self, key: str, attempt: int, now: float) -> None:
        # An attempt that lives but may not run any more, or not yet, is ended. The event of its end
        # is then late, because the next attempt has another number.
        progress = self.units.get(key)
        if progress is None:
            self._actions.append(Cancel(key, attempt))
        elif progress.state is not UnitState.READY:
            progress.attempt = max(progress.attempt, attempt)
            self._actions.append(Cancel(key, attempt))
        else:
            progress.attempt = attempt - 1
            self._run(key, now)

    def _stop(self, cause: str, now: float) -> None:
        before = self.stopped
        self.stopped = cause if cause == INTERRUPTED else before or cause
        if before is not None:
            return
        self._ready.clear()
        self._pauses.clear()
        self._lacking.clear()
        for key, progress in self.units.items():
            if progress.state in DORMANT:
                progress.cause = progress.cause or cause
                self._move(key, Trigger.STOPPED, now)
                self._settle(key)
            elif progress.state is UnitState.RUNNING:
                self._move(key, Trigger.STOPPED, now)
                self._actions.append(Cancel(key, progress.attempt))

    # ---- consequences -------------------------------------------------------------------------

    def _fail(
        self, key: str, cause: str, lines: tuple[str, ...], pause: float | None, now: float
    ) -> None:
        # `pause` is in seconds until the next attempt; None if there will be none.
        progress = self.units[key]
        progress.cause, progress.lines, progress.ended = cause, lines, now
        if progress.state is UnitState.STOPPING or (self.stopped is not None and pause is not None):
            progress.cause = self.stopped or cause
            self._move(key, Trigger.GONE, now)
            self._settle(key)
        elif pause is not None:
            self._move(key, Trigger.RETRIED, now)
            heappush(self._pauses, (now + pause, key))
            self._actions.append(Retry(key, progress.attempt, cause, now + pause))
        else:
            self._move(key, Trigger.FAILED, now)
            self._settle(key)
            self._block(key, now)
            if self.limits.fail_fast:
                self._stop(f"{key} failed", now)

    def _block(self, failed: str, now: float) -> None:
        stack = [failed]
        while stack:
            for dependent in self._dependents[stack.pop()]:
                progress = self.units[dependent]
                if progress.state is UnitState.WAITING:
                    progress.blocked_by = failed
                    self._move(dependent, Trigger.BLOCKED, now)
                    self._settle(dependent)
                    stack.append(dependent)

    def _release(self, done: str, now: float) -> None:
        self._settle(done)
        for dependent in self._dependents[done]:
            progress = self.units[dependent]
            progress.missing -= 1
            if progress.missing == 0 and progress.state is UnitState.WAITING:
                self._free(dependent, now)

    def _free(self, key: str, now: float) -> None:
        # This is a loop and no recursion, because gates behind gates may be thousands deep.
        stack = [key]
        while stack:
            freed = stack.pop()
            progress = self.units[freed]
            if not progress.unit.is_gate:
                self._queue(freed, Trigger.FREED, now)
                continue
            self._move(freed, Trigger.PASSED, now)
            self._settle(freed)
            for dependent in self._dependents[freed]:
                behind = self.units[dependent]
                behind.missing -= 1
                if behind.missing == 0 and behind.state is UnitState.WAITING:
                    stack.append(dependent)

    def _settle(self, key: str) -> None:
        unit = self.units[key].unit
        if not unit.is_gate:
            self.work -= unit.seconds
            self._actions.append(Settled(key))

    def _lack(self, event: Lacked, now: float) -> None:
        progress = self.units[event.key]
        if progress.state is UnitState.STOPPING:
            self._fail(event.key, event.cause, event.lines, None, now)
            return
        progress.cause, progress.lines, progress.ended = event.cause, event.lines, now
        self._move(event.key, Trigger.LACKED, now)
        if not self._lacking.add(event.key, event.names):
            self._queue(event.key, Trigger.SUPPLIED, now)
        else:
            self._actions.append(Await(event.key, event.attempt, event.cause))

    def _queue(self, key: str, trigger: Trigger, now: float) -> None:
        self._move(key, trigger, now)
        self._ready.push(self.units[key])

    def _give_up(self, now: float) -> None:
        """Let units fail that lack something, if there is nothing left that could give it."""
        for key in self._lacking.clear() if not (self._live or self._pauses) else ():
            progress = self.units[key]
            if progress.state is UnitState.LACKING:  # the first failure may stop the run
                self._fail(key, progress.cause, progress.lines, None, now)

    # ---- slots --------------------------------------------------------------------------------

    def _wake(self, now: float) -> None:
        while self._pauses and self._pauses[0][0] <= now:
            _, key = heappop(self._pauses)
            self._queue(key, Trigger.DUE, now)
        if self._pauses:
            self._actions.append(WakeAt(self._pauses[0][0]))

    def _fill(self, now: float) -> None:
        while self._began and len(self._live) < self.limits.jobs:
            key = self._ready.pop(self._fits)
            if key is None:
                return
            self._run(key, now)

    def _fits(self, resources: ComputeResources) -> bool:
        capacity = self.limits.capacity
        return capacity is None or (
            self.cpu + resources.cpu <= capacity.cpu and self.ram + resources.ram <= capacity.ram
        )

    def _run(self, key: str, now: float) -> None:
        progress = self.units[key]
        progress.attempt += 1
        progress.started, progress.ended, progress.used = now, None, None
        self._move(key, Trigger.STARTED, now)
        self._actions.append(Start(key, progress.attempt, progress.resources))

    # ---- the table ----------------------------------------------------------------------------

    def _move(self, key: str, trigger: Trigger, now: float) -> None:
        progress = self.units[key]
        before = progress.state
        progress.history.append((now, trigger))
        after = TRANSITIONS.get((before, trigger))
        if after is None:
            past = ", ".join(f"{then:g}: {what.value}" for then, what in progress.history)
            raise InvalidTransitionError(f"{key} is {before.value}; history: {past}")
        progress.state = after
        if not progress.unit.is_gate:
            self.counts[before] -= 1
            self.counts[after] += 1
        self._unsettled -= after in SETTLED
        if after in LIVE and progress.held is None:
            self._live[key] = None
            progress.held = progress.resources
            self.cpu += progress.held.cpu
            self.ram += progress.held.ram
        elif after not in LIVE and progress.held is not None:
            del self._live[key]
            self.cpu -= progress.held.cpu
            self.ram -= progress.held.ram
            progress.held = None

    def remaining(self, now: float) -> float:
        """Return the expected seconds until the end: at least the longest path and the work.

        If the proven units took longer than was expected, or less, so will the others.
        """
        pace = self._taken / self._expected if self._taken and self._expected else 1.0
        paths, spent = [*self._ready.longest_paths()], 0.0
        for key in self._live:
            progress = self.units[key]
            started = now if progress.started is None else progress.started
            elapsed = min((now - started) / pace, progress.unit.seconds)
            paths.append(progress.rank - elapsed)
            spent += elapsed
        return pace * max(0.0, (self.work - spent) / self.limits.jobs, *paths)

    def by_state(self, state: UnitState) -> Iterator[Progress]:
        """Return the units in `state`, without gates, in the order in which they were given."""
        return (p for p in self.units.values() if p.state is state and not p.unit.is_gate)


def replay(
    units: Iterable[Unit], limits: RunLimits, events: Iterable[tuple[float, Event]]
) -> Scheduler:
    """Return the scheduler that has handled these events, each with its time."""
    scheduler = Scheduler(units, limits)
    for now, event in events:
        scheduler.handle(event, now)
    return scheduler
