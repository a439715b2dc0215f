"""The scheduler, one case after the other."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dag.core.build.events import (
    INTERRUPTED,
    Action,
    Began,
    Broke,
    Cancel,
    Cancelled,
    ComputeResources,
    Event,
    Faulted,
    Finish,
    OutOfMemory,
    Proven,
    ProvePackages,
    Retry,
    Settled,
    Start,
    StopRequested,
    Succeeded,
    Ticked,
    Unit,
)
from dag.core.build.ranks import critical_path, levels, remaining_paths
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import (
    LIVE,
    SETTLED,
    TRANSITIONS,
    InvalidTransitionError,
    RunLimits,
    UnitState,
)

GIB = 1 << 30


def started(actions: list[Action]) -> list[str]:
    return [action.key for action in actions if isinstance(action, Start)]


def built(scheduler: Scheduler, key: str, now: float) -> list[Action]:
    attempt = scheduler.units[key].attempt
    scheduler.handle(Succeeded(key, attempt), now)
    return scheduler.handle(Proven(key, attempt), now)


def test_starts_the_longest_remaining_path_first() -> None:
    units = [
        Unit("a", seconds=5),
        Unit("b", seconds=1),
        Unit("after-b", ("b",), seconds=10),
        Unit("c", seconds=6),
    ]
    scheduler = Scheduler(units, RunLimits(jobs=2))
    assert started(scheduler.handle(Began(), 0)) == ["b", "c"]
    assert started(built(scheduler, "b", 1)) == ["after-b"]
    assert started(built(scheduler, "c", 6)) == ["a"]


def test_a_unit_starts_only_when_its_need_is_proven() -> None:
    scheduler = Scheduler([Unit("a"), Unit("b", ("a",))], RunLimits(jobs=4))
    scheduler.handle(Began(), 0)
    assert scheduler.handle(Succeeded("a", 1), 1) == [ProvePackages("a", 1)]
    assert scheduler.handle(Proven("a", 1), 2) == [
        Settled("a"),
        Start("b", 1, scheduler.units["b"].resources),
    ]


def test_a_gate_opens_when_everything_behind_it_is_proven() -> None:
    units = [
        Unit("a"),
        Unit("b"),
        Unit("inner", ("b",), is_gate=True),
        Unit("gate", ("a", "inner"), is_gate=True),
        Unit("c", ("gate",)),
    ]
    scheduler = Scheduler(units, RunLimits(jobs=4))
    assert started(scheduler.handle(Began(), 0)) == ["a", "b"]
    assert started(built(scheduler, "a", 1)) == []
    assert started(built(scheduler, "b", 2)) == ["c"]
    assert built(scheduler, "c", 3)[-1] == Finish()


def test_a_smaller_unit_passes_one_that_does_not_fit() -> None:
    units = [
        Unit("big", resources=ComputeResources(2000, GIB), seconds=9),
        Unit("first", resources=ComputeResources(1000, GIB), seconds=10),
        Unit("small", resources=ComputeResources(1000, GIB), seconds=1),
    ]
    scheduler = Scheduler(units, RunLimits(jobs=4, capacity=ComputeResources(2000, 8 * GIB)))
    assert started(scheduler.handle(Began(), 0)) == ["first", "small"]
    assert started(built(scheduler, "first", 1)) == []
    assert started(built(scheduler, "small", 1)) == ["big"]


def test_a_unit_larger_than_the_machine_runs_alone() -> None:
    units = [Unit("huge", resources=ComputeResources(16000, 64 * GIB), seconds=9), Unit("small")]
    scheduler = Scheduler(units, RunLimits(jobs=4, capacity=ComputeResources(2000, 8 * GIB)))
    assert scheduler.handle(Began(), 0) == [Start("huge", 1, ComputeResources(2000, 8 * GIB))]
    assert started(built(scheduler, "huge", 1)) == ["small"]


def test_out_of_memory_is_tried_again_with_twice_as_much_up_to_the_maximum() -> None:
    limits = RunLimits(jobs=1, max_ram=3 * GIB)
    scheduler = Scheduler([Unit("a", resources=ComputeResources(1000, GIB))], limits)
    scheduler.handle(Began(), 0)
    sizes = []
    for attempt in (1, 2, 3):
        actions = scheduler.handle(OutOfMemory("a", attempt, "out of memory"), attempt)
        sizes += [action.resources.ram for action in actions if isinstance(action, Start)]
    assert sizes == [2 * GIB, 3 * GIB]
    assert scheduler.units["a"].state is UnitState.FAILED


def test_a_unit_whose_node_ran_short_of_disk_asks_for_twice_as_much_up_to_the_largest_node() -> (
    None
):
    limits = RunLimits(jobs=1, max_disk=3 * GIB, first_pause=0)
    unit = Unit("a", resources=ComputeResources(1000, GIB, GIB))
    scheduler = Scheduler([unit], limits)
    scheduler.handle(Began(), 0)
    sizes = []
    for attempt, wants in enumerate((True, False, True, True), start=1):
        event = Faulted("a", attempt, "the node evicted the pod", wants_disk=wants)
        actions = scheduler.handle(event, attempt)
        sizes += [action.resources for action in actions if isinstance(action, Start)]
    assert [size.disk for size in sizes] == [2 * GIB, 2 * GIB, 3 * GIB, 3 * GIB]
    assert {(size.cpu, size.ram) for size in sizes} == {(1000, GIB)}
    again = Scheduler([replace(unit, resources=ComputeResources(1000, GIB))], RunLimits(jobs=1, max_disk=GIB, first_pause=0))  # fmt: skip
    again.handle(Began(), 0)
    (_, start) = again.handle(Faulted("a", 1, "the node evicted the pod", wants_disk=True), 1)
    assert isinstance(start, Start)
    assert start.resources.disk == 0, "nobody counts disk"


def test_faults_pause_longer_each_time_and_leave_the_retries_of_builds_alone() -> None:
    limits = RunLimits(jobs=1, retries=1, faults=3, first_pause=2, longest_pause=5)
    scheduler = Scheduler([Unit("a")], limits)
    scheduler.handle(Began(), 0)
    now, pauses = 0.0, []
    for attempt in (1, 2, 3):
        for action in scheduler.handle(Faulted("a", attempt, "node lost"), now):
            if isinstance(action, Retry):
                pauses.append(action.when - now)
                assert started(scheduler.handle(Ticked(), action.when - 0.1)) == []
                now = action.when
        assert started(scheduler.handle(Ticked(), now)) == ["a"]
    assert pauses == [2, 4, 5]
    assert started(scheduler.handle(Broke("a", 4, "exit 2"), now)) == ["a"]
    assert scheduler.handle(Broke("a", 5, "exit 2"), now)[-1] == Finish()
    assert scheduler.units["a"].state is UnitState.FAILED


def test_a_failure_blocks_what_needs_it_and_nothing_else() -> None:
    units = [Unit("a"), Unit("b", ("a",)), Unit("c", ("b",)), Unit("d"), Unit("e", ("d",))]
    scheduler = Scheduler(units, RunLimits(jobs=2))
    scheduler.handle(Began(), 0)
    actions = scheduler.handle(Broke("a", 1, "exit 2", ("boom",)), 1)
    assert actions == [Settled("a"), Settled("b"), Settled("c")]
    assert [scheduler.units[key].blocked_by for key in "abc"] == [None, "a", "a"]
    assert scheduler.units["a"].lines == ("boom",)
    assert started(built(scheduler, "d", 2)) == ["e"]


def test_fail_fast_cancels_what_runs_and_keeps_what_ends_well_all_the_same() -> None:
    units = [Unit("a"), Unit("b"), Unit("c"), Unit("d")]
    scheduler = Scheduler(units, RunLimits(jobs=3, fail_fast=True))
    scheduler.handle(Began(), 0)
    actions = scheduler.handle(Broke("a", 1, "exit 2"), 1)
    assert [a for a in actions if isinstance(a, Cancel)] == [Cancel("b", 1), Cancel("c", 1)]
    assert scheduler.units["d"].state is UnitState.DROPPED
    built(scheduler, "b", 2)
    assert scheduler.units["b"].state is UnitState.DONE
    assert scheduler.handle(Cancelled("c", 1), 3)[-1] == Finish()
    assert scheduler.units["c"].cause == "a failed"


def test_a_unit_whose_place_was_taken_is_tried_again_any_number_of_times() -> None:
    scheduler = Scheduler([Unit("a")], RunLimits(jobs=1, faults=1, first_pause=2))
    scheduler.handle(Began(), 0)
    now = 0.0
    for attempt in range(1, 10):
        (woken,) = (
            action.when
            for action in scheduler.handle(Faulted("a", attempt, "preempted", disrupted=True), now)
            if isinstance(action, Retry)
        )
        assert woken == now + 2
        now = woken
        scheduler.handle(Ticked(), now)
    scheduler.handle(Faulted("a", 10, "disk full"), now)
    assert scheduler.units["a"].state is UnitState.PAUSED


def test_a_stop_before_the_beginning_starts_nothing() -> None:
    scheduler = Scheduler([Unit("a")], RunLimits(jobs=1))
    scheduler.handle(StopRequested("Ctrl-C"), 0)
    assert scheduler.handle(Began(), 1) == [Finish()]


def test_a_fault_in_a_stopped_run_is_not_tried_again() -> None:
    scheduler = Scheduler([Unit("a"), Unit("b")], RunLimits(jobs=2))
    scheduler.handle(Began(), 0)
    scheduler.handle(Succeeded("a", 1), 1)
    assert scheduler.handle(StopRequested("Ctrl-C"), 2) == [Cancel("b", 1)]
    assert scheduler.handle(StopRequested("again"), 2) == []
    assert scheduler.handle(Faulted("a", 1, "disk full"), 3) == [Settled("a")]
    assert scheduler.handle(Cancelled("b", 1), 4) == [Settled("b"), Finish()]
    assert {unit.cause for unit in scheduler.units.values()} == {"Ctrl-C"}


def test_adopts_what_lives_before_it_starts_anything_new() -> None:
    units = [Unit("a", seconds=1), Unit("b", seconds=9), Unit("c", ("a",))]
    scheduler = Scheduler(units, RunLimits(jobs=1))
    actions = scheduler.handle(Began(live=(("a", 3), ("c", 1), ("gone", 2))), 0)
    assert [a.key for a in actions if isinstance(a, Cancel)] == ["c", "gone"]
    assert started(actions) == ["a"]
    assert scheduler.units["a"].attempt == 3
    scheduler.handle(Cancelled("c", 1), 1)
    built(scheduler, "a", 2)
    built(scheduler, "b", 3)
    # The end of the attempt that was sent away must not be taken for the end of this one.
    assert scheduler.units["c"].attempt == 2


def test_attempts_are_numbered_on_from_those_of_earlier_runs() -> None:
    scheduler = Scheduler([Unit("a")], RunLimits(jobs=1))
    actions = scheduler.handle(Began(past=(("a", 4), ("gone", 1))), 0)
    assert [a.attempt for a in actions if isinstance(a, Start)] == [5]


@pytest.mark.parametrize("event", [Proven("a", 1), Broke("a", 7, ""), Succeeded("gone", 1)])
def test_late_news_change_nothing(event: Event) -> None:
    scheduler = Scheduler([Unit("a"), Unit("b", ("a",))], RunLimits(jobs=1))
    scheduler.handle(Began(), 0)
    built(scheduler, "a", 1)
    assert scheduler.handle(event, 2) == []


def test_an_impossible_event_tells_the_history() -> None:
    scheduler = Scheduler([Unit("a")], RunLimits(jobs=1))
    scheduler.handle(Began(), 0)
    with pytest.raises(
        InvalidTransitionError, match="a is running; history: 0: needs proven, 0: s"
    ):
        scheduler.handle(Proven("a", 1), 1)


def test_refuses_cycles_and_twins() -> None:
    with pytest.raises(ValueError, match="need each other: a, b"):
        Scheduler([Unit("a", ("b",)), Unit("b", ("a",))], RunLimits(jobs=1))
    with pytest.raises(ValueError, match="two units are called a"):
        Scheduler([Unit("a"), Unit("a")], RunLimits(jobs=1))


def test_nothing_to_do_ends_at_once() -> None:
    assert Scheduler([], RunLimits(jobs=1)).handle(Began(), 0) == [Finish()]


def test_no_transition_leaves_a_settled_state_and_every_state_is_reached() -> None:
    assert not {state for state, _ in TRANSITIONS} & SETTLED
    assert set(TRANSITIONS.values()) | {UnitState.WAITING} == set(UnitState)
    assert not LIVE & SETTLED


def test_ranks_levels_and_critical_path() -> None:
    units = {
        unit.key: unit
        for unit in (
            Unit("a", seconds=2),
            Unit("b", seconds=3),
            Unit("gate", ("a", "b", "gone"), is_gate=True, seconds=99),
            Unit("c", ("gate",), seconds=4),
            Unit("d", seconds=6),
        )
    }
    assert remaining_paths(units) == {"a": 6, "b": 7, "gate": 4, "c": 4, "d": 6}
    assert levels(units) == {"a": 0, "b": 0, "gate": 1, "c": 1, "d": 0}
    assert critical_path(units) == ["b", "c"]


def test_the_estimate_is_bounded_by_the_path_and_by_the_work() -> None:
    units = [Unit("a", seconds=4), Unit("b", ("a",), seconds=4), Unit("c", seconds=2)]
    scheduler = Scheduler(units, RunLimits(jobs=2))
    scheduler.handle(Began(), 0)
    assert scheduler.remaining(1) == 7
    one = Scheduler(units, RunLimits(jobs=1))
    one.handle(Began(), 0)
    assert one.remaining(1) == 9


def test_no_event_looks_at_every_unit() -> None:
    """If every event looked at every unit, this would take an hour."""
    count = 30_000
    units = [
        Unit(f"u{n}", tuple(f"u{n // 2 - k}" for k in range(3) if n // 2 - k >= 0 and n))
        for n in range(count)
    ]
    scheduler = Scheduler(units, RunLimits(jobs=64))
    queue = scheduler.handle(Began(), 0)
    now = 0.0
    done = 0
    while queue:
        action = queue.pop()
        now += 1
        match action:
            case Start(key, attempt, _):
                queue += scheduler.handle(Succeeded(key, attempt), now)
            case ProvePackages(key, attempt):
                queue += scheduler.handle(Proven(key, attempt), now)
            case Settled():
                done += 1
            case _:
                pass
    assert done == count
    assert scheduler.finished


def test_who_interrupts_is_heard_although_a_failure_has_stopped_the_run() -> None:
    limits = RunLimits(jobs=2, fail_fast=True)
    scheduler = Scheduler([Unit("a"), Unit("b"), Unit("c")], limits)
    scheduler.handle(Began(), 0)
    scheduler.handle(Broke("a", 1, "exit 2"), 1)
    assert scheduler.handle(StopRequested(INTERRUPTED), 2) == []
    assert scheduler.stopped == INTERRUPTED
    scheduler.handle(StopRequested("a bug in dag"), 3)
    assert scheduler.stopped == INTERRUPTED
