"""The result of a run, made of what its scheduler knows."""

from __future__ import annotations

from dag.core.build.events import (
    Action,
    Began,
    Broke,
    Proven,
    ProvePackages,
    Start,
    Succeeded,
    Unit,
)
from dag.core.build.result import Result, make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlannedPackage, PlanSummary


def run(units: list[Unit], took: dict[str, float], jobs: int) -> Result:
    """Run the units, each of which takes so many seconds, and return the result."""
    scheduler = Scheduler(units, RunLimits(jobs=jobs))
    now = 0.0
    ends: dict[str, float] = {}

    def do(actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Start(key):
                    ends[key] = now + took[key]
                case ProvePackages(key, attempt):
                    results = 2 if key == "odd" else 1
                    do(scheduler.handle(Proven(key, attempt, results), now))

    do(scheduler.handle(Began(), now))
    while ends:
        key = min(ends, key=lambda key: (ends[key], key))
        now = ends.pop(key)
        do(scheduler.handle(Succeeded(key, 1), now))
    about = PlanSummary(
        arch="x86_64",
        packages={
            unit.key: PlannedPackage("1-r0", "missing", "") for unit in units if not unit.is_gate
        },
        timed=0,
    )
    return make_result(about, scheduler, now)


def test_the_critical_path_is_the_chain_that_took_longest_not_what_ended_last() -> None:
    # With one job, what starts last ends last, and nothing waited for it.
    units = [
        Unit("a", seconds=1),
        Unit("gate", ("a",), is_gate=True),
        Unit("b", ("gate",), seconds=9),
        Unit("z", seconds=0.5),
    ]
    took = {"a": 5.0, "b": 4.0, "z": 1.0}
    for jobs in (1, 2, 3):
        assert run(units, took, jobs).critical_path == ("a", "b")
    took["z"] = 50.0
    assert run(units, took, 1).critical_path == ("z",)


def test_a_package_that_is_not_reproducible_is_told() -> None:
    result = run([Unit("odd"), Unit("even")], {"odd": 1, "even": 1}, 1)
    assert {unit.name: unit.results for unit in result.units} == {"odd": 2, "even": 1}
    assert result.exit_code == 0


def test_what_only_the_network_failed_is_no_fault_of_the_packages() -> None:
    scheduler = Scheduler([Unit("a"), Unit("b")], RunLimits(jobs=2, retries=1))
    about = PlanSummary(
        arch="x86_64",
        packages={name: PlannedPackage("1-r0", "missing", "") for name in "ab"},
        timed=0,
    )
    scheduler.handle(Began(), 0)
    # It is tried again as often as any failed build, and the last failure counts.
    scheduler.handle(Broke("a", 1, "exit status 1"), 1)
    scheduler.handle(Broke("a", 2, "no connection", is_fault=True), 2)
    scheduler.handle(Broke("b", 1, "no connection", is_fault=True), 3)
    scheduler.handle(Broke("b", 2, "exit status 1"), 4)
    assert make_result(about, scheduler, 4).exit_code == 1
    scheduler = Scheduler([Unit("a"), Unit("b")], RunLimits(jobs=2))
    scheduler.handle(Began(), 0)
    scheduler.handle(Broke("a", 1, "no connection", is_fault=True), 1)
    scheduler.handle(Succeeded("b", 1), 1)
    scheduler.handle(Proven("b", 1), 1)
    result = make_result(about, scheduler, 1)
    assert (result.only_faults, result.exit_code) == (True, 3)
