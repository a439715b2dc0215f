"""An agent's Job, and what a client does beside it."""

from __future__ import annotations

import asyncio

import pytest

from dag.core.pod.states import WatchRules
from dag.errors import InfrastructureError
from dag.io.kube.api import Kube
from dag.run.jobs.attempt import JobFollower
from dag.run.jobs.single import run_job
from tests.run.jobs.conftest import JOB, OneJob
from tests.support.faults import Origin
from tests.support.waiting import until

RULES = WatchRules(pending_timeout=600.0, reads_logs=False)


async def test_what_fails_beside_an_agent_is_told_at_once_and_ends_the_agent(
    origin: Origin, kube: Kube
) -> None:
    api = OneJob(origin)

    async def fail(_: JobFollower) -> None:
        await until(lambda: api.exists)
        raise InfrastructureError("the disk is full")

    async with asyncio.timeout(20):
        with pytest.raises(InfrastructureError, match="the disk is full"):
            await run_job(kube, JOB, RULES, lambda _: None, meanwhile=fail)
    assert not api.exists
