"""The follower of one Job: what gets no Pod is given up, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from dag.core.jobs.ending import how_attempt_ended
from dag.core.pod.ending import Cause
from dag.core.pod.states import WatchRules
from dag.errors import InfrastructureError
from dag.io.kube.api import Kube
from dag.run.jobs.attempt import JobFollower
from dag.run.jobs.news import JobSeen, RunNews
from tests.run.jobs.conftest import EVENTS, JOB, JOBS, PODS, WORKLOADS, OneJob, answer, listed, note
from tests.support.faults import Answer, Origin
from tests.support.podstories import Json
from tests.support.waiting import until

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
    rules = WatchRules(pending_timeout=60.0, how_ended=how_attempt_ended, reads_logs=False)
    return lambda: JobFollower(kube, news, JOB, rules, said.append)


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Let nothing go that is a part of a cycle."""
    gc.disable()
    yield
    gc.enable()


def pod_of(phase: str, statuses: list[Json]) -> Json:
    """Return the Pod of the Job, whose containers have these statuses."""
    labels = {"batch.kubernetes.io/job-name": "dag-x"}
    about = {"name": "dag-x-1", "namespace": "n", "uid": "pod", "resourceVersion": "1"}
    return {
        "metadata": {**about, "labels": labels},
        "spec": {"containers": [{"name": "build"}, {"name": "collect"}]},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


async def test_who_is_replaced_leaves_the_job_to_the_successor(
    origin: Origin, follow: Follow, news: RunNews
) -> None:
    api = OneJob(origin)
    task = asyncio.create_task(follow().run())
    async with asyncio.timeout(20):
        await until(lambda: api.exists)
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


QUEUED: Json = {
    **JOB,
    "metadata": {**JOB["metadata"], "labels": {"kueue.x-k8s.io/queue-name": "q"}},
    "spec": {"suspend": True},
}


@pytest.fixture
def follow_queued(
    kube: Kube, news: RunNews, said: list[str], follow: Follow, origin: Origin
) -> Follow:
    """Return a function that follows the Job in a queue, with little patience."""
    OneJob(origin)
    origin.handle(f"{JOBS}/dag-x", lambda _: answer(200, QUEUED))
    rules = WatchRules(pending_timeout=60.0, how_ended=how_attempt_ended, reads_logs=False)
    return lambda: JobFollower(kube, news, QUEUED, rules, said.append)


@pytest.mark.parametrize("may", [True, False])
async def test_why_a_job_waits_in_its_queue_is_told_as_far_as_that_may_be_read(
    origin: Origin, follow_queued: Follow, said: list[str], may: bool
) -> None:
    note(origin, type="QuotaReserved", status="False", message="no room")
    if not may:
        refused = {"kind": "Status", "message": "no", "code": 403}
        origin.handle(WORKLOADS, lambda _: answer(403, refused))
    task = asyncio.create_task(follow_queued().run())
    async with asyncio.timeout(20):
        await until(lambda: said)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # it leaves at once
        with pytest.raises(asyncio.CancelledError):
            await task
    assert said[0] == "the Job waits in queue q" + (": no room" if may else "")


@pytest.mark.parametrize(
    ("turns", "lost"),
    [
        ((True, False), False),  # somebody has deleted the Pod
        ((True, False, True), True),
        ((True, False, True, False), True),  # the next turn comes while the Pod is being ended
    ],
)
async def test_a_pod_that_its_queue_has_taken_away_is_told_from_one_that_somebody_deleted(
    origin: Origin, follow_queued: Follow, turns: tuple[bool | None, ...], lost: bool
) -> None:
    note(origin, type="Evicted", status="True", reason="Preempted", message="others come first")
    state = {"terminated": {"exitCode": 143, "containerID": "c"}}
    pod = pod_of("Failed", [{"name": name, "state": state} for name in ("build", "collect")])
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    origin.handle(PODS, lambda _: listed("Pod", [pod]))
    follower = follow_queued()
    for number, suspended in enumerate(turns):
        metadata = {**QUEUED["metadata"], "generation": number + 1}
        follower._hear(JobSeen({**QUEUED, "metadata": metadata, "spec": {"suspend": suspended}}))
    async with asyncio.timeout(20):
        ending = await follower.explained((await follower.run()).ending)
    assert ending.cause is (Cause.PREEMPTED if lost else Cause.DELETED)
    assert ("others come first" in ending.message) is lost


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


async def test_why_the_agent_still_works_is_told_but_not_the_record_that_it_answers(
    origin: Origin, follow: Follow
) -> None:
    OneJob(origin)
    statuses = [
        {"name": "build", "state": {"terminated": {"exitCode": 0, "containerID": "c"}}},
        {"name": "collect", "state": {"running": {}}},
    ]
    pod = pod_of("Running", statuses)
    origin.handle(PODS, lambda _: listed("Pod", [pod]))
    said = iter([b"dag: the store cannot be written"])
    time = b"2026-01-01T00:00:00.000000000Z "
    origin.handle(
        f"{PODS}/dag-x-1/log",
        lambda _: Answer.of(200, body=time + next(said, b"packed:eNq") + b"\n"),
    )
    third = origin.on("GET", "/log", nth=3).delay(0.01)
    follower = follow()
    told: list[str] = []
    follower._say = told.append
    task = asyncio.create_task(follower.run())
    async with asyncio.timeout(20):
        await third.reached()
        assert told == ["the store cannot be written"]
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # it leaves at once
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
async def ended(origin: Origin, news: RunNews) -> OneJob:
    """Return an API whose Job has ended before anybody listened, as the news know."""
    api = OneJob(origin)
    state = {"terminated": {"exitCode": 1, "containerID": "c"}}
    statuses = [{"name": name, "state": state} for name in ("build", "collect")]
    origin.handle(PODS, lambda _: listed("Pod", [pod_of("Failed", statuses)]))
    await until(lambda: "dag-x" in news._pods)  # nothing tells of it before `listen`
    return api


async def test_what_ended_before_anybody_listened_is_taken(ended: OneJob, follow: Follow) -> None:
    async with asyncio.timeout(20):
        result = await follow().run()
    assert result.ending.exit_code == 1
    assert ended.exists


async def test_what_is_known_of_a_job_goes_when_nobody_follows_it_any_more(
    origin: Origin, ended: OneJob, follow: Follow, without_collector: None
) -> None:
    condition = {"type": "Complete", "status": "True"}
    job = {**JOB, "status": {"conditions": [condition]}}
    origin.on("POST", "/jobs").answer(201, body=json.dumps(job).encode())
    follower = follow()
    known = weakref.ref(follower)
    async with asyncio.timeout(20):
        await follower.run()
        await follower.remove()
    del follower
    assert known() is None


async def test_how_a_job_of_other_inputs_ended_is_nothing_to_the_attempt(
    origin: Origin, ended: OneJob, follow: Follow
) -> None:
    ended.exists = True
    there = {"kind": "Status", "reason": "AlreadyExists", "message": "it is there", "code": 409}
    origin.on("POST", "/jobs").answer(409, body=json.dumps(there).encode())
    async with asyncio.timeout(20):
        with pytest.raises(InfrastructureError, match="was made of other inputs"):
            await follow().run()
    assert not ended.exists


async def test_a_job_of_other_settings_goes_before_the_next_attempt_begins(
    origin: Origin, follow: Follow
) -> None:
    api = OneJob(origin)
    api.exists = True
    there = {"kind": "Status", "reason": "AlreadyExists", "message": "it is there", "code": 409}
    origin.on("POST", "/jobs").answer(409, body=json.dumps(there).encode())
    async with asyncio.timeout(20):
        with pytest.raises(InfrastructureError, match="was made of other inputs"):
            await follow().run()
    assert not api.exists  # else it would build beside the next attempt


async def test_who_interrupts_is_told_of_a_job_that_cannot_be_deleted(
    origin: Origin, follow: Follow, said: list[str]
) -> None:
    api = OneJob(origin)
    origin.handle(f"{JOBS}/dag-x", lambda _: answer(405, {"kind": "Status", "message": "no"}))
    task = asyncio.create_task(follow().run())
    async with asyncio.timeout(20):
        await until(lambda: api.exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [one for one in said if "may be there" in one]
