"""The runner of units as Jobs, with an API server that stands in for a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from dag.core.build.events import ComputeResources, Start, Succeeded
from dag.core.kube.objects import KubeObject
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.report.terminal import Terminal
from dag.run.jobs.runner import JobRunner
from tests.support.orders import SETTINGS
from tests.support.standins.jobruns import GeneratedOrders, GeneratedUnits, answer, serving

NAMES = [f"p{n}" for n in range(60)]
RESOURCES = ComputeResources(1000, 1 << 30)


class CountingKube(Kube):
    """A client that counts the Jobs that it has made."""

    made = 0

    async def create_named(self, path: str, manifest: KubeObject, **more: float) -> KubeObject:
        """Make a Job."""
        found = await super().create_named(path, manifest, **more)
        self.made += 1
        return found


class CountedUnits(GeneratedUnits):
    """Units that note how many Jobs there were when each was resolved."""

    def __init__(self, kube: CountingKube) -> None:
        self.jobs: list[int] = []
        self._kube = kube

    def resolve(self, key: str) -> Any:
        """Return as much of a unit as the runner asks for."""
        self.jobs.append(self._kube.made)
        return super().resolve(key)


@pytest.fixture
async def kube(tmp_path: Path) -> AsyncIterator[CountingKube]:
    with serving(
        tmp_path, {name: (0.0, *answer(name, "1-r0", [name])) for name in NAMES}
    ) as config:
        made = CountingKube(connect(config), lambda _: None)
        yield made
        await made.close()


async def test_of_many_units_that_are_freed_at_once_the_first_do_not_wait_for_the_last(
    kube: CountingKube,
) -> None:
    units, orders = CountedUnits(kube), GeneratedOrders()
    runner = JobRunner(kube, SETTINGS, cast("Any", units), cast("Any", orders), Terminal())
    async with asyncio.timeout(20):
        await runner.open()
        ends = await asyncio.gather(*(runner.run(Start(name, 1, RESOURCES)) for name in NAMES))
        await runner.close()
    assert {type(one) for one in ends} == {Succeeded}
    assert units.jobs[0] == 0
    assert units.jobs[-1] > 0
    assert (await kube.get("/stats"))["left"] == {"jobs": 0, "pods": 0}


async def test_what_is_proven_is_remembered_while_its_job_could_still_tell_it(
    kube: CountingKube,
) -> None:
    units, orders = CountedUnits(kube), GeneratedOrders()
    remembered: list[str] = []
    runner = JobRunner(
        kube,
        SETTINGS,
        cast("Any", units),
        cast("Any", orders),
        Terminal(),
        remember=lambda one: remembered.append(one.name),
    )
    async with asyncio.timeout(20):
        await runner.open()
        # Whoever is killed from here on has the record in the store, and no Job any more.
        await runner.run(Start("p0", 1, RESOURCES))
        assert remembered == ["p0"]
        await runner.close()
