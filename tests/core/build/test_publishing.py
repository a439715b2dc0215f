"""What came of publishing is told of every unit, once."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dag.core.build.known import Known
from dag.core.build.plan import BuildRequest
from dag.core.build.publishing import (
    ProvenUnits,
    UnpublishedUnit,
    lacking_of,
    make_publishing,
    proven_in,
)
from dag.core.build.result import Result, UnitResult
from dag.core.build.states import THERE, UnitState
from tests.core.build.test_plan import ALL, CYCLE, package, plan, stored
from tests.core.build.test_result import run
from tests.core.jobs.test_listing import record

RESULT = run([], {}, 1)


def unit(number: int, state: UnitState, **more: str) -> UnitResult:
    return UnitResult(
        name=f"package-{number}",
        version="1.2.3-r4",
        state=state.value,
        reason="missing",
        because="",
        cause=more.get("cause", ""),
        blocked_by=more.get("blocked_by"),
        attempts=1,
        started=None,
        ended=None,
        lines=(),
        log="",
    )


@given(st.dictionaries(st.integers(0, 9), st.sampled_from(["new", "there", "damaged"])))
def test_each_record_is_told_once(units: dict[int, str]) -> None:
    records = [record(number) for number in units]
    there = {one.name for one, kind in zip(records, units.values(), strict=True) if kind == "there"}
    refused = {f"package-{n}": "is damaged" for n, kind in units.items() if kind == "damaged"}
    gone = (UnpublishedUnit("gone", "1-r0", "it is gone"),)
    came = make_publishing(
        "x86_64",
        ProvenUnits(records=tuple(records), gone=gone),
        before={(one.name, one.version) for one in records if one.name in there},
        refused=refused,
    )
    assert {one.name for one in came.already} == there
    assert {one.name for one in came.refused} == {*refused, "gone"}
    told = [one.name for one in (*came.published, *came.already)]
    told += [one.name for one in came.refused]
    assert sorted(told) == sorted([*(one.name for one in records), "gone"])
    assert came.exit_code(wants_all=False) == 3


def test_what_lacks_is_a_failure_only_for_who_wants_all() -> None:
    lacking = (UnpublishedUnit("a", "1-r0", "not built: missing"),)
    came = make_publishing("x86_64", ProvenUnits(lacking=lacking), before=())
    assert [came.exit_code(wants_all=wanted) for wanted in (False, True)] == [0, 1]
    assert [*came.to_json()["lacking"]] == [
        {"name": "a", "version": "1-r0", "why": "not built: missing"}
    ]


@given(st.lists(st.sampled_from(list(UnitState)), max_size=6))
def test_of_a_run_only_what_it_has_proven_counts(states: list[UnitState]) -> None:
    units = tuple(unit(number, state) for number, state in enumerate(states))
    result = replace_units(units)
    results = {one.name: record(number).result for number, one in enumerate(units)}
    stored_records = {f"package-{number}": [record(number)] for number in range(len(units))}
    found = proven_in(result, results, lambda name: stored_records[name])
    proven = [one.name for one in units if UnitState(one.state) in THERE]
    assert [one.name for one in found.records] == proven
    assert sorted([*proven, *(one.name for one in found.lacking)]) == sorted(stored_records)
    assert found.gone == ()
    # Another result, another version, or none: nobody publishes something else in its place.
    others = {name: [replace(one[0], version="9-r9")] for name, one in stored_records.items()}
    for wrong in (
        proven_in(result, {}, lambda name: stored_records[name]),
        proven_in(result, results, lambda name: others[name]),
        proven_in(result, results, lambda _: ()),
    ):
        assert wrong.records == ()
        assert [one.name for one in wrong.gone] == proven


def test_what_was_proven_before_somebody_else_went_on_with_the_run_counts() -> None:
    result = replace_units((unit(1, UnitState.DONE),))
    results = {f"package-{number}": record(number).result for number in range(3)}
    found = proven_in(
        result, results, lambda name: [record(int(name[-1]))] if name != "package-2" else ()
    )
    assert [one.name for one in found.records] == ["package-1", "package-0"]
    assert [one.name for one in found.gone] == ["package-2"]


def replace_units(units: tuple[UnitResult, ...]) -> Result:
    return dataclasses.replace(RESULT, units=units)


def test_why_a_unit_was_not_proven_is_told() -> None:
    blocked = unit(1, UnitState.BLOCKED, blocked_by="lib")
    failed = unit(2, UnitState.FAILED, cause="make ended with exit code 2")
    found = proven_in(replace_units((blocked, failed)), {}, lambda _: ())
    assert [one.why for one in found.lacking] == [
        "not proven: blocked by lib",
        "not proven: make ended with exit code 2",
    ]


def test_what_lacks_of_a_plan() -> None:
    packages = [package("lib"), package("app", "lib")]
    assert lacking_of(plan(packages, Known(stored=stored("lib")))) == (
        UnpublishedUnit("app", "1-r0", "not built: missing"),
    )
    assert lacking_of(plan(packages, Known(stored=stored("lib", "app")))) == ()
    cycle = {one.name: one.why for one in lacking_of(plan(CYCLE, Known(), ALL))}
    assert cycle["b"] == "in a cycle that nothing opens"
    assert "not built: it needs b, which is in a cycle" in cycle.values()
    assert (
        lacking_of(plan(CYCLE, Known(stored=stored(*(one.name for one in CYCLE))), BuildRequest()))
        == ()
    )
