"""Whoever drives a run that is cancelled is asked to end it, also who begins to meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.run.jobs.cancel import _ask
from dag.run.jobs.lease import LeaseObject
from tests.support.kubeconfigs import kubeconfig
from tests.support.leases import OneLease, lease_server
from tests.support.orders import SETTINGS
from tests.support.waiting import until

OTHER = "process 7 on another"


async def test_who_goes_on_with_a_cancelled_run_is_asked_until_another_run_is_driven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dag.run.jobs.cancel._LOOK", 0.01)
    with lease_server() as api:
        kube = Kube(connect(kubeconfig(tmp_path / "config", api.url)), lambda _: None)
        api.let_hold(OTHER, "0", run="")  # it plans
        asking = asyncio.create_task(_ask(LeaseObject(kube, SETTINGS.key), "r1"))
        api.let_hold(OTHER, "1", run="r1")
        await _until(api, "r1")
        api.let_hold("a third", "2", run="r1")
        await _until(api, "r1")
        api.let_hold("a third", "3", run="r2")
        async with asyncio.timeout(20):
            await asking
        await kube.close()
    assert api.view.cancelled == ""
    said = capfd.readouterr().err
    assert said.count("asked to end run r1") == 2
    assert f"{OTHER} is asked" in said


async def _until(api: OneLease, cancelled: str) -> None:
    await until(lambda: api.view.cancelled == cancelled)
