"""The loop between scheduler and runner, with a runner that does what a test wants."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from dag.core.build.events import (
    Action,
    Began,
    Broke,
    Event,
    Faulted,
    Proven,
    ProvePackages,
    Start,
    Succeeded,
    Unit,
)
from dag.core.build.journal import encode_head, make_head, replay_run
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits, UnitState
from dag.core.build.summary import PlanSummary
from dag.errors import InfrastructureError
from dag.io.build.journal import Journal, read_journal
from dag.run.build.engine import Engine
from dag.run.build.runner import Ended, ProofEnd

Work = Callable[[Start], Awaitable[Ended]]


async def well(start: Start) -> Ended:
    await asyncio.sleep(0)
    return Succeeded(start.key, start.attempt)


class Scripted:
    """A runner that does what it was given for each unit, and notes what ran and what was cancelled."""

    def __init__(self, work: dict[str, Work] | None = None, began: Began | None = None) -> None:
        self.work = work or {}
        self.began = began or Began()
        self.live: set[str] = set()
        self.most = 0
        self.proven: list[str] = []
        self.cancelled: list[str] = []
        self.closed = False

    async def open(self) -> Began:
        return self.began

    async def run(self, start: Start) -> Ended:
        assert start.key not in self.live
        self.live.add(start.key)
        self.most = max(self.most, len(self.live))
        try:
            return await self.work.get(start.key, well)(start)
        except asyncio.CancelledError:
            self.cancelled.append(start.key)
            raise
        finally:
            self.live.discard(start.key)

    async def prove(self, prove: ProvePackages) -> ProofEnd:
        self.proven.append(prove.key)
        return Proven(prove.key, prove.attempt)

    async def cancel(self, key: str, attempt: int) -> None:
        self.cancelled.append(f"{key}.{attempt}")

    async def close(self) -> None:
        self.closed = True


class Silent:
    def observe(self, event: Event, actions: Sequence[Action], now: float) -> None:
        pass

    def look_at_clock(self, now: float) -> None:
        pass


def engine(
    tmp_path: Path, units: list[Unit], runner: Scripted, limits: RunLimits
) -> tuple[Engine, Journal]:
    journal = Journal(tmp_path / "journal")
    scheduler = Scheduler(units, limits)
    about = PlanSummary(arch="x86_64", packages={}, timed=0)
    journal.append(encode_head(make_head(about, scheduler, began=0, pid=1)))
    return Engine(scheduler, runner, journal, [Silent()]), journal


@pytest.fixture
def thawed() -> Iterator[None]:
    """Let the collector of garbage look at everything, before and after a test."""
    gc.unfreeze()
    yield
    gc.unfreeze()


CHAIN = [Unit("a"), Unit("b", ("a",)), Unit("c", ("b",)), Unit("d")]


async def test_runs_everything_in_order_and_the_journal_tells_the_same(tmp_path: Path) -> None:
    runner = Scripted()
    made, journal = engine(tmp_path, CHAIN, runner, RunLimits(jobs=2))
    assert await made.run()
    assert runner.closed
    assert [key for key in runner.proven if key != "d"] == ["a", "b", "c"]
    assert runner.most == 2
    with journal:
        pass
    again = replay_run(read_journal(tmp_path / "journal")).scheduler
    assert {k: (p.state, p.attempt) for k, p in again.units.items()} == {
        k: (p.state, p.attempt) for k, p in made.scheduler.units.items()
    }


async def test_what_was_read_before_is_not_looked_through_for_garbage(
    tmp_path: Path, thawed: None
) -> None:
    read = [object()]

    async def looks(start: Start) -> Ended:
        looked_through = gc.get_objects()
        assert not any(one is read for one in looked_through)
        return await well(start)

    assert any(one is read for one in gc.get_objects())
    made, _ = engine(tmp_path, [Unit("a")], Scripted({"a": looks}), RunLimits(jobs=1))
    await made.run()


async def test_an_interruption_cancels_what_runs_and_waits_until_it_is_gone(tmp_path: Path) -> None:
    running = asyncio.Event()

    async def for_ever(start: Start) -> Ended:
        running.set()
        await asyncio.Event().wait()
        raise AssertionError

    runner = Scripted({"a": for_ever})
    made, _ = engine(tmp_path, CHAIN, runner, RunLimits(jobs=1))
    task = asyncio.create_task(made.run())
    await running.wait()
    task.cancel()
    assert await task is False
    assert runner.cancelled == ["a"]
    assert runner.live == set()
    assert runner.closed
    assert {p.state for p in made.scheduler.units.values()} == {UnitState.DROPPED}


async def test_a_unit_cancelled_before_its_first_step_is_gone_too(tmp_path: Path) -> None:
    async def fails(start: Start) -> Ended:
        return Broke(start.key, start.attempt, "exit 2")

    units = [Unit("a", seconds=2), Unit("b")]
    runner = Scripted({"a": fails})
    made, _ = engine(tmp_path, units, runner, RunLimits(jobs=2, fail_fast=True))
    async with asyncio.timeout(5):
        await made.run()
    assert made.scheduler.units["a"].state is UnitState.FAILED


async def test_errors_of_the_machine_are_faults_and_are_tried_again(tmp_path: Path) -> None:
    tries: list[int] = []

    async def disk_full_once(start: Start) -> Ended:
        tries.append(start.attempt)
        if start.attempt == 1:
            raise OSError(28, "No space left on device", "/from", None, "/a/store/file")
        if start.attempt == 2:
            raise InfrastructureError("the store is away")
        return Succeeded(start.key, start.attempt)

    limits = RunLimits(jobs=1, first_pause=0.001)
    runner = Scripted({"a": disk_full_once})
    made, _ = engine(tmp_path, [Unit("a")], runner, limits)
    assert await made.run()
    why = "/a/store/file: No space left on device; make room there, or use another disk"
    assert why in (tmp_path / "journal").read_text()
    assert tries == [1, 2, 3]
    assert made.scheduler.units["a"].faults == 2


async def test_a_bug_stops_the_run_and_comes_out(tmp_path: Path) -> None:
    async def buggy(start: Start) -> Ended:
        raise ZeroDivisionError

    runner = Scripted({"a": buggy})
    made, _ = engine(tmp_path, CHAIN, runner, RunLimits(jobs=1))
    with pytest.raises(ZeroDivisionError):
        await made.run()
    assert runner.closed
    assert made.scheduler.units["c"].state is UnitState.DROPPED


async def test_adopts_what_lives_and_ends_what_may_not(tmp_path: Path) -> None:
    runner = Scripted(began=Began(live=(("a", 2), ("c", 1))))
    made, _ = engine(tmp_path, CHAIN, runner, RunLimits(jobs=1))
    assert await made.run()
    assert made.scheduler.units["a"].attempt == 2
    assert made.scheduler.units["c"].attempt == 2
    assert runner.cancelled == ["c.1"]


async def test_what_is_about_to_be_done_is_in_the_journal_before(tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    async def look(start: Start) -> Ended:
        seen[start.key] = len(list(read_journal(tmp_path / "journal")))
        return Faulted(start.key, start.attempt, "x") if start.attempt == 1 else await well(start)

    limits = RunLimits(jobs=1, first_pause=0.0)
    runner = Scripted({"b": look})
    made, _ = engine(tmp_path, CHAIN[:2], runner, limits)
    await made.run()
    # The head, Began, Succeeded a, Proven a, Faulted b: all are written before the second attempt
    # starts.
    assert seen["b"] == 5


class SlowDisk(Journal):
    """A journal whose disk takes as long as a test lets it, for everything after the beginning."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.is_slow, self.writing, self.may_end = False, threading.Event(), threading.Event()

    def sync(self) -> None:
        if self.is_slow:
            self.writing.set()
            assert self.may_end.wait(20)
        super().sync()


@pytest.mark.parametrize("interrupted", [False, True])
async def test_while_the_disk_writes_others_go_on_and_nothing_begins_before_it_has(
    tmp_path: Path, *, interrupted: bool
) -> None:
    journal = SlowDisk(tmp_path / "journal")
    steps: list[str] = []
    beside_may_end = asyncio.Event()

    async def first(start: Start) -> Ended:
        journal.is_slow = True
        return await well(start)

    async def beside(start: Start) -> Ended:
        await asyncio.to_thread(journal.writing.wait, 20)
        steps.append("beside goes on while the end of first is written")
        if interrupted:
            task.cancel()
            await asyncio.sleep(0)
        steps.append(f"next has begun: {'next' in runner.live}")
        journal.is_slow = False
        journal.may_end.set()
        await beside_may_end.wait()
        return Succeeded(start.key, start.attempt)

    async def after(start: Start) -> Ended:
        beside_may_end.set()
        return await well(start)

    units = [Unit("first", seconds=9), Unit("beside", seconds=5), Unit("next")]
    runner = Scripted({"first": first, "beside": beside, "next": after})
    made = Engine(Scheduler(units, RunLimits(jobs=2)), runner, journal, [Silent()])
    task = asyncio.create_task(made.run())
    async with asyncio.timeout(20):
        assert await task is not interrupted
    assert steps == ["beside goes on while the end of first is written", "next has begun: False"]
    if interrupted:
        assert runner.cancelled == ["beside"]
        assert made.scheduler.units["next"].state is UnitState.DROPPED
    else:
        assert {one.state for one in made.scheduler.units.values()} == {UnitState.DONE}
