"""A build on a cluster leaves to others what is theirs, and keeps what others need of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dag.core.build.result import Result
from dag.core.jobs.capacity import ClusterCapacity
from dag.core.jobs.handover import Handover
from dag.core.jobs.history import RunFiles
from dag.core.jobs.listing import StoreListing
from dag.core.jobs.options import UnitBuildOptions
from dag.errors import InfrastructureError
from dag.report.terminal import Terminal
from dag.run.build.group import BuildGroup
from dag.run.build.session import Build
from dag.run.jobs import build as module
from dag.run.jobs.build import ChosenRun, ClusterBuild
from dag.run.jobs.start import ClusterBuilds
from dag.run.jobs.stores import LearntNeeds, StoreAgent
from tests.core.jobs.test_handover import handover
from tests.run.jobs.conftest import answer
from tests.support.faults import Answer, Incoming, Origin
from tests.support.kubeconfigs import kubeconfig
from tests.support.orders import SETTINGS
from tests.support.podstories import Json
from tests.support.runs import made_run

RUN = SETTINGS.run
LOST = InfrastructureError("the agent's node is gone")
EARLIER: Json = {
    "metadata": {"name": "dag-x", "uid": "job", "labels": {"dag/run": "20251231-000000-000abc"}}
}


class Planned:
    """A plan that has nothing to build, as far as a build on a cluster asks it."""

    plan = SimpleNamespace(steps=())
    arch = SETTINGS.arch

    def __init__(self, cluster: ClusterBuild) -> None:
        self._cluster = cluster

    def unpublished(self) -> list[Any]:
        return []

    def end_without_units(self, run: str) -> Result:
        kept = self._cluster.store.runs.begin(run)
        kept.journal.write_bytes(b"what happened\n")
        kept.keep_result(b"what came of it")
        return made_run(0)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """Return the runs whose files agents are told to keep."""
    found: list[tuple[str, bytes]] = []

    async def keep_run(self: StoreAgent, files: RunFiles, _: LearntNeeds) -> None:
        found.append((self.settings.run, files.journal))

    monkeypatch.setattr(StoreAgent, "keep_run", keep_run)
    return found


@pytest.fixture
def deleted(origin: Origin) -> list[str]:
    """Return the paths of what is deleted."""
    found: list[str] = []
    origin.handle("/apis/batch/v1/namespaces/builds/jobs/dag-x", lambda one: _delete(found, one))
    return found


def _delete(found: list[str], request: Incoming) -> Answer:
    found.append(f"{request.method} {request.target}")
    return answer(200, {"kind": "Status", "status": "Success"})


@pytest.fixture
def options(tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> UnitBuildOptions:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = kubeconfig(tmp_path / "config", origin.url)
    return UnitBuildOptions(
        on="kubernetes", store="pvc://packages", kubeconfig=str(config), publish=False
    )


def opened(options: UnitBuildOptions, handed: Handover | None = None) -> ClusterBuild:
    """Return a build that has looked at a store with a Job of an earlier run, and has no steps."""
    made = ClusterBuild(options, replace(SETTINGS, run=""), Terminal(), handed)
    made._seen = module._Seen(StoreListing(objects={}), ClusterCapacity(), (EARLIER,))
    made.build = cast(Build, Planned(made))
    return made


CHOSEN = ChosenRun(id=RUN, name=RUN, bundle="", end=lambda: None)


async def test_a_driver_that_finds_all_built_keeps_a_run_that_can_be_published(
    options: UnitBuildOptions, kept: list[tuple[str, bytes]]
) -> None:
    # The Pod before it died between the last proof and the journal.
    driver = opened(options, handover())
    await driver.run(CHOSEN, BuildGroup())
    assert kept == [(RUN, b"what happened\n")]
    driver.close()
    # Whoever builds from here publishes at the end, and needs no journal in the store for that.
    here = opened(options)
    await here.run(replace(CHOSEN, id="20260102-000000-000abc"), BuildGroup())
    assert len(kept) == 1
    here.close()


async def test_a_driver_whose_journal_is_lost_has_a_successor(
    options: UnitBuildOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def keep_run(_: StoreAgent, __: RunFiles, ___: LearntNeeds) -> None:
        raise LOST

    monkeypatch.setattr(StoreAgent, "keep_run", keep_run)
    driver = opened(options, handover())
    with pytest.raises(InfrastructureError, match="the agent's node is gone"):
        await driver.run(CHOSEN, BuildGroup())
    driver.close()


async def test_who_only_publishes_leaves_the_jobs_of_a_run_that_nobody_drives(
    options: UnitBuildOptions, deleted: list[str]
) -> None:
    publishing = opened(replace(options, publish=True))
    assert await publishing.publish([]) == {}
    assert deleted == []
    # Who builds, and finds all of it built, needs none of them.
    await publishing.run(CHOSEN, BuildGroup())
    assert deleted == ["DELETE /apis/batch/v1/namespaces/builds/jobs/dag-x"]
    publishing.close()


@pytest.mark.parametrize(("loss", "code"), [("", 130), ("another client has taken over", 3)])
async def test_who_has_lost_the_lease_was_not_asked_to_stop(
    options: UnitBuildOptions, loss: str, code: int
) -> None:
    # Else the Job of a driver would be complete, and its successor's Pod ended.
    cluster = opened(options)
    cluster.loss = loss
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    whole = object.__new__(ClusterBuilds)
    whole._options, whole._clusters = options, [cluster]
    outcome = whole._outcome(cast("list[asyncio.Task[Result]]", [task]))
    assert outcome.exit_code == code
    cluster.close()
