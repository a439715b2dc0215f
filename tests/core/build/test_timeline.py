"""Slots, and what has changed since the run before."""

from __future__ import annotations

from itertools import pairwise

from dag.core.build.timeline import bars, compare
from tests.support.runs import made_run


def test_no_slot_has_two_units_at_once_and_there_are_no_more_slots_than_jobs() -> None:
    result = made_run(200, jobs=7, failing=frozenset({50}))
    made = bars(result)
    assert {bar.unit.name for bar in made} == {
        one.name for one in result.units if one.started is not None
    }
    by_slot: dict[int, list[tuple[float, float]]] = {}
    for bar in made:
        by_slot.setdefault(bar.slot, []).append((bar.start, bar.end))
    assert sorted(by_slot) == list(range(7))
    assert all(a[1] <= b[0] for several in by_slot.values() for a, b in pairwise(several))


def test_what_runs_lasts_until_the_end_of_what_is_known() -> None:
    result = made_run(20, jobs=2, until=9.0)
    running = [bar for bar in bars(result) if bar.unit.ended is None]
    assert len(running) == 2
    assert {bar.end for bar in running} == {9.0}


def test_what_failed_and_was_mended_and_how_long_things_took_before() -> None:
    before = made_run(20, failing=frozenset({12}), unchanged=frozenset({19}))
    now = made_run(20, failing=frozenset({13}), pace=2.0)
    found = compare(now, before)
    assert (found.failed, found.mended) == (("p0013",), ("p0012",))
    assert found.seconds["p0003"] == 4.0
    assert "p0019" not in found.seconds
    assert "p0013" not in found.seconds
