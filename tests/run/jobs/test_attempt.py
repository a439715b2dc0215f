"""The follower of one Job: what gets no Pod is given up, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest

from dag.core.pod.states import WatchRules
from dag.errors import InfrastructureError
from dag.io.kube.api import Kube
from dag.run.jobs.attempt import JobFollower
from dag.run.jobs.news import RunNews
from tests.run.jobs.conftest import EVENTS, JOB, JOBS, OneJob, answer, listed
from tests.support.faults import Origin

Follow = Callable[[], JobFollower]


@pytest.fixture
async def news(kube: Kube) -> AsyncIterator[RunNews]:
    found = RunNews(kube, "n", "dag/run=r")
    found.open()
    yield found
    await found.close()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def follow(kube: Kube, news: RunNews, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Follow:
    """Return a function that follows the Job, with little patience."""
    for name, seconds in {"_LOOK": 0.01, "_REFUSED": 0.05, "_WITHOUT_POD": 0.2}.items():
        monkeypatch.setattr(f"dag.run.jobs.attempt.{name}", seconds)
    monkeypatch.setattr("dag.io.kube.api._REFUSAL_PATIENCE", 0.05)
    rules = WatchRules(pending_timeout=60.0, reads_logs=False)
    return lambda: JobFollower(kube, news, JOB, rules, said.append)


async def test_who_is_replaced_leaves_the_job_to_the_successor(
    origin: Origin, follow: Follow, news: RunNews
) -> None:
    api = OneJob(origin)
    task = asyncio.create_task(follow().run())
    async with asyncio.timeout(20):
        while not api.exists:  # noqa: ASYNC110  # the server has no event for it
            await asyncio.sleep(0.01)
        news.is_abandoned = True
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert origin.count("DELETE") == 0
    assert api.exists


async def test_a_job_without_a_pod_is_given_up_whether_or_not_events_tell_why(
    origin: Origin, follow: Follow
) -> None:
    api = OneJob(origin)
    origin.handle(EVENTS, lambda _: answer(403, {"kind": "Status", "message": "no", "code": 403}))
    async with asyncio.timeout(20):
        with pytest.raises(InfrastructureError, match=r"the Job has no pod after 0\.2 s"):
            await follow().run()
    assert not api.exists  # it would make its pod later, beside the next attempt


async def test_what_a_quota_refuses_is_the_reason(origin: Origin, follow: Follow) -> None:
    OneJob(origin)
    about = {"name": "e", "uid": "e", "resourceVersion": "1"}
    event = {"metadata": about, "reason": "FailedCreate", "message": "exceeded quota"}
    origin.handle(EVENTS, lambda _: listed("Event", [event]))
    async with asyncio.timeout(20):
        with pytest.raises(InfrastructureError, match="cannot make its pod: exceeded quota"):
            await follow().run()


async def test_who_cancels_while_the_job_is_being_made_gets_it_deleted(
    origin: Origin, follow: Follow
) -> None:
    api = OneJob(origin)
    creation = origin.on("POST", "/jobs").delay(0.5)
    task = asyncio.create_task(follow().run())
    async with asyncio.timeout(20):
        await creation.reached()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert origin.count("DELETE") == 1
    assert not api.exists


async def test_a_job_of_other_settings_goes_before_the_next_attempt_begins(
    origin: Origin, follow: Follow
) -> None:
    api = OneJob(origin)
    api.exists = True
    there = {"kind": "Status", "reason": "AlreadyExists", "message": "it is there", "code": 409}
    origin.on("POST", "/jobs").answer(409, body=json.dumps(there).encode())
    async with asyncio.timeout(20):
        with pytest.raises(InfrastructureError, match="was made of something else"):
            await follow().run()
    assert not api.exists  # else it would build beside the next attempt


async def test_who_interrupts_is_told_of_a_job_that_cannot_be_deleted(
    origin: Origin, follow: Follow, said: list[str]
) -> None:
    api = OneJob(origin)
    origin.handle(f"{JOBS}/dag-x", lambda _: answer(405, {"kind": "Status", "message": "no"}))
    task = asyncio.create_task(follow().run())
    async with asyncio.timeout(20):
        while not api.exists:  # noqa: ASYNC110  # the server has no event for it
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [one for one in said if "may be there" in one]
