"""The promises of the scheduler, for any events in any order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from dag.core.build.events import (
    Action,
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
from dag.core.build.scheduler import Scheduler, replay
from dag.core.build.states import SETTLED, THERE, RunLimits, UnitState

GIB = 1 << 30


@st.composite
def units(draw: st.DrawFn) -> list[Unit]:
    """Draw a graph of up to twelve units and gates; needs point backwards, and some at nothing."""
    count = draw(st.integers(1, 12))
    made = []
    for number in range(count):
        earlier = [f"u{n}" for n in range(number)]
        names = st.sampled_from([*earlier, "elsewhere"])
        made.append(
            Unit(
                f"u{number}",
                tuple(draw(st.lists(names, max_size=4))),
                ComputeResources(
                    draw(st.sampled_from([500, 1000, 4000])), draw(st.integers(1, 4)) * GIB
                ),
                draw(st.floats(0, 100)),
                is_gate=draw(st.integers(0, 4)) == 0,
            )
        )
    return draw(st.permutations(made))


limits = st.builds(
    RunLimits,
    jobs=st.integers(1, 4),
    capacity=st.none() | st.just(ComputeResources(2000, 6 * GIB)),
    max_ram=st.none() | st.just(5 * GIB),
    retries=st.integers(0, 2),
    faults=st.integers(0, 3),
    first_pause=st.just(1.0),
    longest_pause=st.just(4.0),
    fail_fast=st.booleans(),
)


class Run(RuleBasedStateMachine):
    """A world around the scheduler, which keeps its own record of what is alive and what is proven."""

    attempts = Bundle("attempts")

    @initialize(units=units(), limits=limits)
    def setup(self, units: list[Unit], limits: RunLimits) -> None:
        self.units = {unit.key: unit for unit in units}
        self.given, self.limits = units, limits
        self.scheduler = Scheduler(units, limits)
        self.now = 0.0
        self.log: list[tuple[float, Event]] = []
        self.live: dict[str, tuple[int, ComputeResources]] = {}
        self.asked: set[str] = set()
        """The live attempts that were asked to prove their outputs."""
        self.cancelled: set[str] = set()
        self.proven: set[str] = set()
        self.lacking: dict[str, str] = {}
        """What live attempts and those that wait turned out to lack."""
        self.provided: set[str] = set()
        self.wake: float | None = None
        self.finishes = 0
        self.settled: list[str] = []
        self.began = False

    def send(self, event: Event) -> None:
        self.log.append((self.now, event))
        for action in self.scheduler.handle(event, self.now):
            self.do(action)

    def do(self, action: Action) -> None:
        match action:
            case Start(key, attempt, resources):
                assert self.scheduler.stopped is None, "started in a stopped run"
                assert key not in self.live, "two live attempts of one unit"
                assert not self.units[key].is_gate
                self.live[key] = (attempt, resources)
                for need in self.reached(key):
                    assert need in self.proven, f"{key} started before {need} was proven"
                assert not self.finishes
                lack = self.lacking.pop(key, None)
                assert lack is None or lack in self.provided, "tried again for nothing"
            case Await(key):
                assert self.lacking[key] not in self.provided
            case ProvePackages(key, attempt):
                assert self.live[key][0] == attempt
                assert key not in self.asked
                self.asked.add(key)
            case Cancel(key, attempt):
                assert self.live[key][0] == attempt
                self.cancelled.add(key)
            case WakeAt(when):
                self.wake = when
            case Finish():
                self.finishes += 1
            case Settled(key):
                self.settled.append(key)
            case Retry(_, _, _, when):
                assert when >= self.now

    def reached(self, key: str) -> set[str]:
        """Return the units that must be proven before `key`: its needs, and those behind gates."""
        found: set[str] = set()
        stack = list(self.units[key].needs)
        while stack:
            need = stack.pop()
            if need in self.units and need not in found:
                found.add(need)
                stack += self.units[need].needs
        return {need for need in found if not self.units[need].is_gate}

    def pick(self, index: int) -> tuple[str, int]:
        key = sorted(self.live)[index % len(self.live)]
        return key, self.live[key][0]

    def gone(self, key: str) -> None:
        del self.live[key]
        self.asked.discard(key)
        self.cancelled.discard(key)

    @rule()
    @precondition(lambda self: not self.began)
    def begin(self) -> None:
        self.began = True
        self.send(Began())

    @rule(index=st.integers(0, 11), later=st.floats(0, 5), gives=st.sampled_from(["", "x", "y"]))
    @precondition(lambda self: self.live)
    def go_well(self, index: int, later: float, gives: str = "") -> None:
        self.now += later
        key, attempt = self.pick(index)
        if key in self.asked:
            self.gone(key)
            self.proven.add(key)
            self.provided.add(gives)
            self.send(Proven(key, attempt, gives=(gives,)))
        else:
            self.send(Succeeded(key, attempt))

    @rule(index=st.integers(0, 11), later=st.floats(0, 5))
    @precondition(lambda self: self.live)
    def turn_out_unchanged(self, index: int, later: float) -> None:
        self.now += later
        key, attempt = self.pick(index)
        if key not in self.asked:
            self.gone(key)
            self.proven.add(key)
            self.send(Unchanged(key, attempt))

    @rule(
        index=st.integers(0, 11), later=st.floats(0, 5), kind=st.sampled_from(["b", "o", "f", "c"])
    )
    @precondition(lambda self: self.live)
    def go_wrong(self, index: int, later: float, kind: str) -> None:
        self.now += later
        key, attempt = self.pick(index)
        if kind == "c" and key not in self.cancelled:
            return
        self.gone(key)
        match kind:
            case "b":
                self.send(Broke(key, attempt, "exit 2", ("last line",)))
            case "o":
                self.send(OutOfMemory(key, attempt, "killed"))
            case "f":
                self.send(Faulted(key, attempt, "node lost"))
            case _:
                self.send(Cancelled(key, attempt))

    @rule(index=st.integers(0, 11), name=st.sampled_from(["x", "y", "z"]))
    @precondition(lambda self: self.live)
    def lack(self, index: int, name: str) -> None:
        key, attempt = self.pick(index)
        if key not in self.asked:
            self.gone(key)
            self.lacking[key] = name
            self.send(Lacked(key, attempt, (name,), "lacks", ("last line",)))

    @rule(index=st.integers(0, 11), attempt=st.integers(0, 3))
    def late_news(self, index: int, attempt: int) -> None:
        key = sorted(self.units)[index % len(self.units)]
        if key in self.live and attempt >= self.live[key][0]:
            return
        before = self.view()
        if self.scheduler.units[key].attempt != attempt or key not in self.live:
            self.send(Proven(key, attempt))
            self.send(Broke(key, attempt, "late"))
        assert self.view() == before or self.wake is not None

    @rule(later=st.floats(0, 10))
    def tick(self, later: float) -> None:
        self.now += later
        self.send(Ticked())

    @rule()
    @precondition(lambda self: self.began)
    def stop(self) -> None:
        self.send(StopRequested("Ctrl-C"))

    def view(self) -> dict[str, object]:
        return {
            key: (p.state, p.attempt, p.resources, p.missing, p.blocked_by, p.cause, p.history)
            for key, p in self.scheduler.units.items()
        }

    @invariant()
    def agrees_with_the_world(self) -> None:
        assert set(self.scheduler.live) == set(self.live)
        done = {p.unit.key for state in THERE for p in self.scheduler.by_state(state)}
        assert done == self.proven

    @invariant()
    def stays_within_its_bounds(self) -> None:
        assert len(self.live) <= self.limits.jobs
        if self.limits.capacity is not None:
            assert sum(r.cpu for _, r in self.live.values()) <= self.limits.capacity.cpu
            assert sum(r.ram for _, r in self.live.values()) <= self.limits.capacity.ram
        held = [self.scheduler.units[key].held for key in self.live]
        assert self.scheduler.cpu == sum(r.cpu for r in held if r)
        assert self.scheduler.ram == sum(r.ram for r in held if r)

    @invariant()
    def never_idles(self) -> None:
        if not self.began or len(self.live) >= self.limits.jobs:
            return
        for progress in self.scheduler.by_state(UnitState.READY):
            room = self.limits.capacity
            assert room is not None, "idles"
            assert (
                self.scheduler.cpu + progress.resources.cpu > room.cpu
                or self.scheduler.ram + progress.resources.ram > room.ram
            ), "idles"

    @invariant()
    def something_always_happens_next(self) -> None:
        """Until the run has ended, an attempt is alive or a pause runs out, so it cannot hang."""
        if self.began and not self.finishes:
            paused = list(self.scheduler.by_state(UnitState.PAUSED))
            assert self.live or (paused and self.wake is not None)

    @invariant()
    def blocks_exactly_what_needs_a_failure(self) -> None:
        failed = {p.unit.key for p in self.scheduler.by_state(UnitState.FAILED)}
        for key, progress in self.scheduler.units.items():
            if progress.state is UnitState.BLOCKED:
                assert progress.blocked_by in failed
            elif failed & self.reached(key):
                assert progress.state in SETTLED, f"{key} still waits for a failed unit"
                assert progress.state not in THERE

    @invariant()
    def waits_for_what_is_lacking_only_while_something_may_give_it(self) -> None:
        for progress in self.scheduler.by_state(UnitState.LACKING):
            assert self.lacking[progress.unit.key] not in self.provided
            assert self.live or self.wake is not None

    @invariant()
    def settles_once(self) -> None:
        assert len(self.settled) == len(set(self.settled))
        assert self.finishes <= 1

    def teardown(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        if not self.began:
            self.begin()
        # From here on everything that is alive ends well. Then the run must end soon.
        for _ in range(20 * len(self.units) + 20):
            if self.finishes:
                break
            if self.live:
                self.go_well(0, 0.5)
            else:
                assert self.wake is not None
                self.now = max(self.now, self.wake)
                self.send(Ticked())
        assert self.finishes == 1, "the run did not end"
        assert all(p.state in SETTLED for p in self.scheduler.units.values())
        keys = {key for key, unit in self.units.items() if not unit.is_gate}
        assert set(self.settled) == keys
        again = replay(self.given, self.limits, self.log)
        ours = self.view()
        self.scheduler = again
        assert self.view() == ours, "replay differs"


TestRun = Run.TestCase
TestRun.settings = settings(stateful_step_count=40)
