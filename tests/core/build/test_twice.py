"""Second builds: they keep nothing waiting, and tell of their package alone."""

from __future__ import annotations

import pytest

from dag.core.build.events import Action, Began, Broke, Event, Proven, Start, Succeeded, Unit
from dag.core.build.result import Result, make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlannedPackage, PlanSummary
from dag.core.build.twice import package_of, second_of, second_units

UNITS = (Unit("a", seconds=5), Unit("b", ("a",), seconds=5))
ABOUT = PlanSummary(
    arch="x86_64", packages={name: PlannedPackage("1-r0", "missing", "") for name in "ab"}, timed=0
)
BUILT: tuple[Event, ...] = (Succeeded("a", 1), Proven("a", 1), Succeeded("b", 1), Proven("b", 1))


def run(*events: Event, limits: RunLimits = RunLimits(jobs=1)) -> tuple[list[Action], Result]:  # noqa: B008
    scheduler = Scheduler((*UNITS, *second_units(UNITS)), limits)
    actions = [*scheduler.handle(Began(), 0.0)]
    for now, event in enumerate(events, start=1):
        actions += scheduler.handle(event, float(now))
    return actions, make_result(ABOUT, scheduler, float(len(events)))


def test_what_needs_a_package_does_not_wait_for_its_second_build() -> None:
    actions, _ = run(*BUILT)
    started = [action.key for action in actions if isinstance(action, Start)]
    assert started == ["a", "b", "a again"]
    assert [package_of(key) for key in started] == ["a", "b", "a"]
    _, result = run(*BUILT, *second("a"), *second("b"))
    assert result.critical_path == ("a", "b")


def second(key: str, *, results: int = 1, differences: tuple[str, ...] = ()) -> tuple[Event, Event]:
    key = second_of(key)
    return Succeeded(key, 1), Proven(key, 1, results, differences=differences)


def test_a_difference_stops_nothing_and_fails_the_command() -> None:
    limits = RunLimits(jobs=1, fail_fast=True, retries=3)
    events = (*BUILT, *second("a", results=2, differences=("a.apk: x",)), *second("b"))
    _, result = run(*events, limits=limits)
    assert result.finished
    assert [unit.state for unit in result.units] == ["done", "done"]
    assert [unit.name for unit in result.dubious] == ["a"]
    assert result.exit_code == 1
    first = result.units[0].second
    assert first is not None
    assert first.differences == ("a.apk: x",)
    _, result = run(*BUILT, *second("a"), *second("b"))
    assert (result.exit_code, result.dubious) == (0, ())


@pytest.mark.parametrize(("is_fault", "code"), [(False, 1), (True, 3)])
def test_a_second_build_that_fails_leaves_what_is_there(*, is_fault: bool, code: int) -> None:
    broke = Broke(second_of("a"), 1, "exit status 1", is_fault=is_fault)
    _, result = run(*BUILT, broke, *second("b"))
    assert [unit.state for unit in result.units] == ["done", "done"]
    assert [unit.name for unit in result.dubious] == ["a"]
    assert result.exit_code == code
    # A difference is never the network's fault.
    _, result = run(*BUILT, broke, *second("b", results=2))
    assert result.exit_code == 1


def test_a_run_that_ended_before_its_second_builds_is_not_complete() -> None:
    _, result = run(*BUILT)
    assert result.dubious == ()
    assert result.exit_code == 1


def test_a_package_that_failed_has_no_second_build_and_is_told_once() -> None:
    _, result = run(Broke("a", 1, "exit status 1"))
    assert [unit.state for unit in result.units] == ["failed", "blocked"]
    assert [unit.second.state for unit in result.units if unit.second] == ["blocked", "blocked"]
    assert result.dubious == ()
