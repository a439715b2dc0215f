"""What a node has of a container's log is read with limits: a build writes what it likes."""

from __future__ import annotations

from typing import cast

import pytest

from dag.core.limits import Limit
from dag.io.kube.api import Kube
from dag.report.terminal import Terminal
from dag.run.build.resolving import UnitResolver
from dag.run.jobs.logs import read_lines
from dag.run.jobs.orders import Orders
from dag.run.jobs.runner import JobRunner
from tests.run.jobs.conftest import PODS
from tests.support.faults import Answer, Origin
from tests.support.orders import SETTINGS

POD = {"metadata": {"name": "dag-x", "namespace": "n"}}
TIME = b"2026-01-01T00:00:00.000000000Z "


@pytest.fixture
def log(origin: Origin) -> None:
    lines = (b"x" * 10_000, b"the last words")
    body = b"".join(TIME + line + b"\n" for line in lines)
    origin.handle(f"{PODS}/dag-x/log", lambda _: Answer.of(200, body=body))


@pytest.mark.usefixtures("log")
async def test_lines_are_as_long_as_may_be(kube: Kube) -> None:
    assert await read_lines(kube, POD, "build") == ["x" * 10_000, "the last words"]
    assert await read_lines(kube, POD, "build", longest=8) == ["x" * 8, "the last"]


@pytest.mark.usefixtures("log")
async def test_a_failure_shows_no_log_that_is_over_the_limit_and_no_long_lines(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    units, orders = cast("UnitResolver", None), cast("Orders", None)
    runner = JobRunner(kube, SETTINGS, units, orders, Terminal())
    assert await runner._tail(POD) == ["x" * 4096, "the last words"]
    monkeypatch.setattr("dag.run.jobs.logs.CONTAINER_LOG", Limit("a log", 100))
    assert await runner._tail(POD) == []
