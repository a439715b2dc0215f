"""Watches that end at once cause no flood of requests, and no change is missed meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.io.kube.watch import Listed, ObjectGone, ObjectSeen, WatchStopped, watch_objects
from dag.io.retries import RetryPolicy
from tests.support.faults import Answer, Incoming, Origin
from tests.support.kubeconfigs import kubeconfig

PODS = "/api/v1/pods"
FIRST = 0.01
"""Seconds of the first pause."""


def pod(version: int) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"uid": "one", "resourceVersion": str(version)}}


def bookmark() -> bytes:
    event = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    return json.dumps(event).encode() + b"\n"


class Pods:
    """A server that lists one pod, which changes after so many watches; these tell nothing."""

    def __init__(self, api: Origin, watched: bytes, *, changes_after: int) -> None:
        self._watched, self._watches, self._changes_after = watched, 0, changes_after
        api.handle(PODS, self._answer)

    def _answer(self, request: Incoming) -> Answer:
        if "watch=true" in request.target:
            self._watches += 1
            return Answer.of(200, body=self._watched)
        item = pod(1 + self._watches // self._changes_after)
        metadata = {"resourceVersion": item["metadata"]["resourceVersion"]}
        listed = {"kind": "PodList", "metadata": metadata, "items": [item]}
        return Answer.of(200, body=json.dumps(listed).encode())


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dag.io.kube.api._RETRIES", RetryPolicy(first=FIRST, longest=60.0))


@pytest.mark.parametrize(
    "watched", [b"", bookmark(), b"<html>\n", pytest.param(bytes(17 << 20), id="endless")]
)
async def test_a_watch_that_brings_nothing(origin: Origin, tmp_path: Path, watched: bytes) -> None:
    Pods(origin, watched, changes_after=6)
    kube = Kube(connect(kubeconfig(tmp_path / "config", origin.url)), pytest.fail)
    watch = watch_objects(kube, PODS)
    async with asyncio.timeout(20):
        assert await anext(watch) == ObjectSeen(pod(1))
        began = time.monotonic()
        told = [Listed(), WatchStopped()]
        while (change := await anext(watch)) in told:
            pass
        assert change == ObjectSeen(pod(2))
    await kube.close()
    # After each watch that brought nothing comes a pause twice as long as the one before, and the list.
    assert time.monotonic() - began > FIRST * sum(2**number for number in range(5))
    assert origin.count("GET", "watch=true") == 6
    assert origin.count("GET", r"/pods$") == 7


async def test_news_shorten_the_pause(origin: Origin, tmp_path: Path) -> None:
    Pods(origin, b"", changes_after=1)
    kube = Kube(connect(kubeconfig(tmp_path / "config", origin.url)), pytest.fail)
    watch = watch_objects(kube, PODS)
    async with asyncio.timeout(20):  # the thirteenth pause alone would be longer
        for number in range(1, 14):
            while not isinstance(change := await anext(watch), ObjectSeen):
                pass
            assert change == ObjectSeen(pod(number))
    await kube.close()


async def test_an_object_that_is_known_and_gone_before_the_first_list_is_told(
    origin: Origin, tmp_path: Path
) -> None:
    metadata = {"resourceVersion": "7"}
    origin.put(PODS, json.dumps({"kind": "PodList", "metadata": metadata, "items": []}).encode())
    kube = Kube(connect(kubeconfig(tmp_path / "config", origin.url)), pytest.fail)
    watch = watch_objects(kube, PODS, known=[pod(1)])
    async with asyncio.timeout(20):
        assert [await anext(watch), await anext(watch)] == [ObjectGone(pod(1)), Listed()]
    await kube.close()
