"""Watches that end at once cause no flood of requests, and no change is missed meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from dag.io.kube import watch as watching
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.io.kube.watch import Listed, ObjectGone, ObjectSeen, WatchStopped, watch_objects
from tests.support.faults import Answer, Incoming, Origin
from tests.support.kubeconfigs import kubeconfig

PODS = "/api/v1/pods"


def pod(version: int) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"uid": "one", "resourceVersion": str(version)}}


def bookmark() -> bytes:
    event = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    return json.dumps(event).encode() + b"\n"


class Pods:
    """A server that lists one pod, whose state changes with `version`; its watches tell nothing."""

    def __init__(self, api: Origin, watched: bytes) -> None:
        self.version, self._watched = 1, watched
        api.handle(PODS, self._answer)

    def _answer(self, request: Incoming) -> Answer:
        if "watch=true" in request.target:
            return Answer.of(200, body=self._watched)
        metadata = {"resourceVersion": str(self.version)}
        listed = {"kind": "PodList", "metadata": metadata, "items": [pod(self.version)]}
        return Answer.of(200, body=json.dumps(listed).encode())


@pytest.mark.parametrize(
    "watched", [b"", bookmark(), b"<html>\n", pytest.param(bytes(17 << 20), id="endless")]
)
async def test_a_watch_that_brings_nothing(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: bytes
) -> None:
    pods, longest = Pods(origin, watched), 0

    def pauses() -> Iterator[float]:
        nonlocal longest
        for number in count():
            longest = max(longest, number)
            if number == 5:
                pods.version = 2
            yield 0

    monkeypatch.setattr(watching, "pauses", pauses)
    kube = Kube(connect(kubeconfig(tmp_path / "config", origin.url)), pytest.fail)
    watch = watch_objects(kube, PODS)
    async with asyncio.timeout(20):
        assert await anext(watch) == ObjectSeen(pod(1))
        told = [Listed(), WatchStopped()]
        while (change := await anext(watch)) in told:
            pass
        assert change == ObjectSeen(pod(2))
    await kube.close()
    # After each watch comes a pause longer than the one before, and then the list.
    assert longest == 5
    assert origin.count("GET", "watch=true") == 6
    assert origin.count("GET", r"/pods$") == 7


async def test_news_shorten_the_pause(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods, asked = Pods(origin, b""), []

    def pauses() -> Iterator[float]:
        for number in count():
            asked.append(number)
            pods.version += 1
            yield 0

    monkeypatch.setattr(watching, "pauses", pauses)
    kube = Kube(connect(kubeconfig(tmp_path / "config", origin.url)), pytest.fail)
    watch = watch_objects(kube, PODS)
    async with asyncio.timeout(20):
        for _ in range(15):
            await anext(watch)
    await kube.close()
    assert set(asked) == {0}


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
