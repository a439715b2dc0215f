"""The driver of a pod's watch: events come from an API, actions are done, and no error gets lost."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from dag.core.pod.ending import Cause, Ending, PodFacts
from dag.core.pod.states import WatchRules
from dag.errors import Interrupted
from dag.io.kube.api import ApiError, Kube
from dag.io.retries import RetryPolicy
from dag.report.terminal import Terminal
from dag.run.pod.follow import PodFollower
from tests.support.faults import Answer, Incoming, Origin
from tests.support.podstories import RUNNING, Json, ended, pod

PODS = "/api/v1/namespaces/n/pods"
EVENTS = "/api/v1/namespaces/n/events"
MANIFEST: Json = {"kind": "Pod", "metadata": {"namespace": "n", "labels": {"dag/run": "r"}}}


class OnePod:
    """An API with one Pod, whose watches end at once, so that only the list tells what is true."""

    def __init__(self, api: Origin, pod: Json) -> None:
        self.pod, self.version, self.exists, self.asked = pod, 1, False, asyncio.Event()
        self._loop = asyncio.get_running_loop()
        api.handle(PODS, self._pods)
        api.handle(f"{PODS}/dag-x", self._one)
        api.handle(f"{PODS}/dag-x/log", lambda _: Answer.of(200, body=LINE))
        api.handle(EVENTS, lambda _: listed([]))

    def become(self, pod: Json) -> None:
        self.pod, self.version = pod, self.version + 1

    def _pods(self, request: Incoming) -> Answer:
        if request.method == "POST":
            self.exists = True
            return Answer.of(201, body=json.dumps(self._shown()).encode())
        if "watch=true" in request.target:
            return Answer.of(200)
        with suppress(RuntimeError):  # the test has ended, and its loop with it
            self._loop.call_soon_threadsafe(self.asked.set)
        return listed([self._shown()] if self.exists else [])

    def _one(self, request: Incoming) -> Answer:
        assert request.method == "DELETE"
        self.exists = False
        return Answer.of(200, body=b'{"kind": "Status", "status": "Success"}')

    def _shown(self) -> Json:
        metadata = {**self.pod["metadata"], "resourceVersion": str(self.version)}
        return {**self.pod, "kind": "Pod", "metadata": metadata}


LINE = b"2026-01-01T00:00:00.000000000Z hello\n"


def listed(items: list[Json]) -> Answer:
    metadata = {"resourceVersion": "7"}
    found = {"kind": "PodList", "metadata": metadata, "items": items}
    return Answer.of(200, body=json.dumps(found).encode())


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dag.io.kube.api._RETRIES", RetryPolicy(first=0.01, longest=0.01))


def follower(kube: Kube, **rules: Any) -> PodFollower:
    given = WatchRules(pending_timeout=60.0, **rules)
    return PodFollower(kube, MANIFEST, given, Terminal())


async def test_a_pod_is_followed_from_its_creation_to_its_result(
    origin: Origin, kube: Kube, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    OnePod(origin, pod(init=ended(), build=ended(2)))
    async with asyncio.timeout(20):
        result = await follower(kube).run()
    assert (result.name, result.ending.cause, result.tail) == ("dag-x", Cause.MAKE, ("hello",))
    said = capsysbinary.readouterr()
    assert sorted(said.out.splitlines()) == [b"[build] hello", b"[init] hello"]
    assert b"pod dag-x created in namespace n" in said.err


async def test_a_log_that_a_node_gives_without_its_end_is_asked_for_again(
    origin: Origin,
    kube: Kube,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dag.core.pod.reading.AGAIN", (0.01, 0.02))
    trailer = "dag: end of log: 1 lines, 6 bytes, exit 0"
    OnePod(origin, pod(init=ended(), build=ended(message=trailer)))
    answers = iter([b"", LINE, LINE + LINE.replace(b"hello", trailer.encode())])
    origin.handle(
        f"{PODS}/dag-x/log",
        lambda asked: Answer.of(200, body=next(answers) if "=build" in asked.target else b""),
    )
    async with asyncio.timeout(20):
        result = await follower(kube).run()
    assert (result.ending.cause, result.tail) == (Cause.DONE, ("hello",))
    said = capsysbinary.readouterr()
    assert said.out.splitlines() == [b"[build] hello"]
    assert b"missing" not in said.err
    assert not list(answers)


@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_events_that_cannot_be_read_end_no_watch(
    origin: Origin, kube: Kube, status: int
) -> None:
    api = OnePod(origin, pod(init=ended(), build=RUNNING))

    def refuse(_request: Incoming) -> Answer:
        api.become(pod(init=ended(), build=ended()))
        return Answer.of(status, body=b'{"kind": "Status", "message": "no events here"}')

    origin.handle(EVENTS, refuse)
    async with asyncio.timeout(20):
        result = await follower(kube, reads_logs=False).run()
    assert result.ending.cause is Cause.DONE


async def test_who_cancels_it_gets_the_pod_deleted_and_an_interruption(
    origin: Origin, kube: Kube
) -> None:
    api = OnePod(origin, pod(init=RUNNING))
    followed = follower(kube, reads_logs=False)
    task = asyncio.create_task(followed.run())
    async with asyncio.timeout(20):
        await api.asked.wait()
        assert followed.watch.leftover == "pod dag-x may still be there"
        task.cancel()
        with pytest.raises(Interrupted, match="interrupted; no pod is left behind"):
            await task
    assert origin.count("DELETE") == 1
    assert followed.watch.leftover == ""


async def test_a_creation_that_is_refused_is_the_error(origin: Origin, kube: Kube) -> None:
    refusal = {"kind": "Status", "message": "exceeded quota", "code": 403}
    origin.handle(PODS, lambda _: Answer.of(403, body=json.dumps(refusal).encode()))
    async with asyncio.timeout(20):
        with pytest.raises(ApiError, match="exceeded quota"):
            await follower(kube).run()


async def test_a_mistake_of_ours_is_raised_and_nothing_waits_for_ever(
    origin: Origin, kube: Kube
) -> None:
    def mistaken(facts: PodFacts) -> Ending | None:
        raise ZeroDivisionError

    OnePod(origin, pod(init=RUNNING))
    async with asyncio.timeout(20):
        with pytest.raises(ZeroDivisionError):
            await follower(kube, how_ended=mistaken).run()


async def test_of_a_pod_that_is_silent_it_is_said_what_runs(
    origin: Origin, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.core.pod.reminder.EVERY", 0.01)
    OnePod(origin, pod(init=RUNNING))
    said = asyncio.Event()

    class Hearing(Terminal):
        def say(self, text: str) -> None:
            if text == "container init has run for 0 min":
                said.set()

    given = WatchRules(pending_timeout=60.0, reads_logs=False)
    task = asyncio.create_task(PodFollower(kube, MANIFEST, given, Hearing()).run())
    async with asyncio.timeout(20):
        await said.wait()
        task.cancel()
        with pytest.raises(Interrupted):
            await task
