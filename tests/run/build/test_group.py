"""Builds of one command: with --fail-fast one that stops at a failure stops the others."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dag.core.build.events import Broke, Start, Succeeded, Unit
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits, UnitState
from dag.io.build.journal import Journal
from dag.run.build.engine import Engine, Observer
from dag.run.build.group import BuildGroup
from dag.run.build.runner import Ended
from tests.run.build.test_engine import Scripted, Work


class Pair:
    """Two builds of a command: in the first `bad` fails when `slow` of the second runs."""

    def __init__(self, place: Path, *, fail_fast: bool) -> None:
        self.group = BuildGroup(is_several=True)
        self.running, self.may_end = asyncio.Event(), asyncio.Event()
        self.first = self.engine(place / "1", "bad", self.fail, fail_fast)
        self.second = self.engine(place / "2", "slow", self.last, fail_fast)

    def engine(self, journal: Path, name: str, work: Work, fail_fast: bool) -> Engine:
        units = [Unit(name), Unit("next", (name,))]
        scheduler = Scheduler(units, RunLimits(jobs=2, fail_fast=fail_fast))
        observers: list[Observer] = []
        made = Engine(scheduler, Scripted({name: work}), Journal(journal), observers)
        observers.append(self.group.join(made, {"bad": "aarch64", "slow": "x86_64"}[name]))
        return made

    async def fail(self, start: Start) -> Ended:
        await self.running.wait()
        return Broke(start.key, start.attempt, "exit status 1")

    async def last(self, start: Start) -> Ended:
        self.running.set()
        await self.may_end.wait()
        return Succeeded(start.key, start.attempt)

    def states(self, engine: Engine) -> dict[str, UnitState]:
        return {key: one.state for key, one in engine.scheduler.units.items()}


async def test_a_failure_of_one_stops_the_other_which_says_where_it_was(tmp_path: Path) -> None:
    pair = Pair(tmp_path, fail_fast=True)
    async with asyncio.timeout(10):
        await asyncio.gather(pair.first.run(), pair.second.run())
    assert pair.first.scheduler.stopped == "bad failed"
    assert pair.second.scheduler.stopped == "bad failed for aarch64"
    assert pair.states(pair.second) == {"slow": UnitState.DROPPED, "next": UnitState.DROPPED}


async def test_without_fail_fast_the_other_goes_on(tmp_path: Path) -> None:
    pair = Pair(tmp_path, fail_fast=False)
    second = asyncio.create_task(pair.second.run())
    async with asyncio.timeout(10):
        await pair.first.run()
        pair.may_end.set()
        await second
    assert pair.states(pair.first)["bad"] is UnitState.FAILED
    assert set(pair.states(pair.second).values()) == {UnitState.DONE}


async def test_one_that_begins_after_that_stops_at_once(tmp_path: Path) -> None:
    pair = Pair(tmp_path, fail_fast=True)
    pair.running.set()
    async with asyncio.timeout(10):
        await pair.first.run()
        third = pair.engine(tmp_path / "3", "slow", pair.last, True)
        await third.run()
    assert third.scheduler.stopped == "bad failed for aarch64"
