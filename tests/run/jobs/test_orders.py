"""What the agent of a Job is told of the store's results, when a run goes on with one that was killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.build.events import ComputeResources, Start
from dag.core.build.states import RunLimits
from dag.core.jobs.options import UnitBuildOptions
from dag.core.jobs.order import UnitOrder
from dag.io.store.local import Store
from dag.run.build.builder import Builder
from dag.run.build.planning import plan_in
from dag.run.build.resolving import UnitResolver
from dag.run.build.serving import PackageServer
from dag.run.build.session import Build
from dag.run.jobs.orders import make_orders
from tests.support.stores import promote

ARCH = Arch.parse("x86_64")


@pytest.fixture
def build(tmp_path: Path) -> Build:
    directory = tmp_path / "definitions"
    directory.mkdir()
    (directory / "Makefile").write_text("package/%:\n\tmelange build ${MELANGE_EXTRA_OPTS}\n")
    (directory / "a.yaml").write_text("package: {name: a, version: 1, epoch: 0}\npipeline: []\n")
    store = Store(tmp_path / "store", ARCH)
    store.prepare()
    options = UnitBuildOptions(directory=str(directory), store=str(store.root))
    return plan_in(store, options, lambda _: None, Builder(RunLimits(jobs=1), "image", "store"))


def order_of(build: Build) -> UnitOrder:
    units = UnitResolver(build)
    server = PackageServer(
        repositories=build.basis.repositories, named={}, arch=ARCH, melange="melange",
        public_key="melange.rsa.pub", bypass="",
    )  # fmt: skip
    orders = make_orders(build.basis, units, server, "run", confined=True)
    start = Start("a", 1, ComputeResources(1000, 1 << 30))
    return orders.of(units.resolve("a"), start)


def results_told(build: Build) -> tuple[str, ...]:
    return order_of(build).results


def test_an_agent_is_told_which_result_the_run_has_fixed_and_then_which_is_published(
    build: Build, tmp_path: Path
) -> None:
    assert results_told(build) == ()
    record = promote(build.basis.store, tmp_path, "a")
    assert results_told(build) == (record.result,)
    build.basis.store.chosen = {"a": "f" * 64, "b": "e" * 64}
    assert results_told(build) == ("f" * 64, record.result)
    build.basis.store.close()


def test_an_agent_is_told_whether_somebody_attests_what_comes_out(build: Build) -> None:
    assert not order_of(build).witnessed
    options = replace(build.basis.options, sign="apart")
    apart = replace(build, basis=replace(build.basis, options=options))
    assert order_of(apart).witnessed
    build.basis.store.close()
