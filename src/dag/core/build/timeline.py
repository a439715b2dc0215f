"""The units of a run in time: which slot had which unit when, and what became of each since before."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from msgspec import Struct

from dag.core.build.result import Result, UnitResult
from dag.core.build.states import THERE, UnitState


class Bar(Struct, frozen=True):
    """The latest attempt of a unit in its slot, in seconds since the run began."""

    unit: UnitResult
    slot: int
    start: float
    end: float


def bars(result: Result) -> list[Bar]:
    """Return what each slot did, by time: a unit takes the slot that is free and has the least number.

    One that has not ended goes on until the end of what is known.
    """
    ran = sorted(
        ((one.started, one) for one in result.units if one.started is not None),
        key=lambda pair: (pair[0], pair[1].name),
    )
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    made = []
    slots = 0
    for start, unit in ran:
        end = result.seconds if unit.ended is None else unit.ended
        while busy and busy[0][0] <= start:
            heappush(free, heappop(busy)[1])
        if not free:
            heappush(free, slots)
            slots += 1
        slot = heappop(free)
        heappush(busy, (end, slot))
        made.append(Bar(unit, slot, start, max(start, end)))
    return made


class Comparison(Struct, frozen=True, kw_only=True):
    """A run beside an earlier one: names of units, and how many seconds each one took before."""

    failed: tuple[str, ...]
    """Those that failed and had not failed before."""
    mended: tuple[str, ...]
    """Those that failed before and are there now."""
    seconds: dict[str, float]
    """Units that were built in both runs → the seconds that they took before."""


def compare(result: Result, before: Result) -> Comparison:
    """Return what has changed since the run `before`."""
    then = {unit.name: unit for unit in before.units}
    failed = _names(before.units, UnitState.FAILED)
    there = {unit.name for unit in result.units if UnitState(unit.state) in THERE}
    there |= {one.name for one in result.skipped}
    took = {
        unit.name: seconds
        for unit in result.units
        if unit.state == UnitState.DONE.value
        and (old := then.get(unit.name))
        and old.state == UnitState.DONE.value
        and (seconds := old.seconds) is not None
    }
    return Comparison(
        failed=tuple(sorted(_names(result.units, UnitState.FAILED) - failed)),
        mended=tuple(sorted(failed & there)),
        seconds=took,
    )


def _names(units: Iterable[UnitResult], state: UnitState) -> set[str]:
    return {unit.name for unit in units if unit.state == state.value}
