"""A build on a cluster leaves to others what is theirs, and keeps what others need of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from dag.core.jobs.handover import Handover
from dag.core.jobs.history import decode_files
from dag.core.jobs.options import UnitBuildOptions
from dag.errors import InfrastructureError
from dag.report.terminal import Terminal
from dag.run.build.facts import find_facts
from dag.run.build.group import BuildGroup
from dag.run.build.start import plan_build
from dag.run.jobs.build import ChosenRun, ClusterBuild
from dag.run.jobs.clusterstore import ClusterStore
from dag.run.jobs.images import HandedImages
from dag.run.jobs.start import ClusterBuilds, ClusterOutcome
from tests.core.jobs.test_handover import handover
from tests.support.kubeconfigs import kubeconfig
from tests.support.orders import SETTINGS
from tests.support.standins.agentserver import AgentServer, agents_served, listing
from tests.support.standins.jobserver import Course, Object

RUN = SETTINGS.run
EARLIER: Object = {
    "metadata": {
        "name": "dag-x",
        "uid": "job",
        "labels": {"dag/run": "20251231-000000-000abc"},
        "annotations": {"dag/package": "p0", "dag/attempt": "1", "dag/bundle": "dag@sha256:0"},
    }
}
CHOSEN = ChosenRun(id=RUN, name=RUN, bundle="", end=lambda: None)


@pytest.fixture
def cluster() -> Iterator[AgentServer]:
    with agents_served() as server:
        server.add_job(EARLIER)
        yield server


@pytest.fixture
def options(
    tmp_path: Path, cluster: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> UnitBuildOptions:
    """Return the flags of a build of one package, which the store has."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    directory = tmp_path / "definitions"
    directory.mkdir()
    (directory / "Makefile").write_text("package/%:\n\tmelange build ${MELANGE_EXTRA_OPTS}\n")
    text = "package: {name: p0, version: 1, epoch: 0}\npipeline: []\n"
    (directory / "p0.yaml").write_text(text)
    found = UnitBuildOptions(
        on="kubernetes",
        store="pvc://packages",
        directory=str(directory),
        kubeconfig=str(kubeconfig(tmp_path / "config", cluster.url)),
        publish=False,
    )
    prints = plan_build(replace(found, on="local", store=None), print).basis.fingerprints
    cluster.answers = {"list-store": [listing(prints)], "keep-run": [Course()]}
    return found


@contextmanager
def opened(options: UnitBuildOptions, handed: Handover | None = None) -> Iterator[ClusterBuild]:
    store = ClusterStore(options, replace(SETTINGS, run="look"), Terminal(), handed)
    try:
        seen = asyncio.run(store.look())
        yield ClusterBuild.plan(store, seen, store.terminal.say, sharing=1)
    finally:
        store.close()


def handed_over(options: UnitBuildOptions) -> Handover:
    """Return what a client tells of the build."""
    with opened(options) as here:
        return handover(facts={"x86_64": find_facts(here.build.basis)})


def run(build: ClusterBuild, chosen: ChosenRun = CHOSEN) -> None:
    asyncio.run(build.run(chosen, BuildGroup()))


def test_a_driver_that_finds_all_built_keeps_a_run_that_can_be_published(
    options: UnitBuildOptions, cluster: AgentServer
) -> None:
    # The Pod before it died between the last proof and the journal.
    with opened(options, handed_over(options)) as driver:
        run(driver)
        journal = driver.store.replica.runs.of(RUN).journal.read_bytes()
    (words,) = cluster.words("keep-run")
    assert f"--run={RUN}" in words
    assert decode_files(words[words.index("--") + 1 :]).journal == journal
    # Whoever builds from here publishes at the end, and needs no journal in the store for that.
    with opened(options) as here:
        run(here, replace(CHOSEN, id="20260102-000000-000abc"))
    assert len(cluster.words("keep-run")) == 1


def test_a_driver_whose_journal_is_lost_has_a_successor(
    options: UnitBuildOptions, cluster: AgentServer
) -> None:
    cluster.answers["keep-run"] = [Course(code=3, words="the claim is full")]
    with (
        opened(options, handed_over(options)) as driver,
        pytest.raises(InfrastructureError, match="the claim is full"),
    ):
        run(driver)


def test_who_only_publishes_leaves_the_jobs_of_a_run_that_nobody_drives(
    options: UnitBuildOptions, cluster: AgentServer
) -> None:
    cluster.answers["publish"] = [Course(words="{}")]
    with opened(replace(options, publish=True)) as publishing:
        assert asyncio.run(publishing.store.publish(publishing.build.unpublished())) == {}
        assert len(cluster.words("publish")) == 1
        assert "dag-x" not in cluster.deleted
        # Who builds, and finds all of it built, needs none of them.
        run(publishing)
        assert "dag-x" in cluster.deleted


def begun(
    options: UnitBuildOptions, cluster: AgentServer, happens: Callable[[], None]
) -> ClusterOutcome:
    """Build one package whose Job does not end; `happens` is called as soon as its Job is there."""
    cluster.answers["list-store"] = [listing({})]
    cluster.before_unit = happens
    handed = handed_over(options)
    with opened(options, handed) as build:
        asyncio.run(build.store.acquire())
        whole = ClusterBuilds(
            options=options,
            terminal=Terminal(),
            handed=handed,
            images=HandedImages(handed),
            agent=handed.agent,
            digests={},
            clusters=(build,),
            opened=ExitStack(),
        )
        return whole.run()


def test_who_has_lost_the_lease_was_not_asked_to_stop(
    options: UnitBuildOptions, cluster: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else the Job of a driver would be complete, and its successor's Pod ended.
    monkeypatch.setattr("dag.run.jobs.lease.RENEWAL", 0.02)
    taken = partial(cluster.lease.let_hold, "process 7 on another", "1")
    outcome = begun(options, cluster, taken)
    assert [str(one) for one in outcome.errors] == [
        "process 7 on another has taken over, and this client drives the build no more"
    ]
    assert (outcome.results, outcome.exit_code) == ((), 3)
    (job,) = cluster.units
    assert job not in cluster.deleted


def test_who_was_asked_to_stop_leaves_no_job(
    options: UnitBuildOptions, cluster: AgentServer
) -> None:
    outcome = begun(options, cluster, partial(os.kill, os.getpid(), signal.SIGINT))
    assert (len(outcome.results), outcome.exit_code) == (1, 130)
    (job,) = cluster.units
    assert job in cluster.deleted
