"""Requests to the API server that fail on the way: still there is one pod and one result."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from dag.core.kube.objects import KubeObject
from dag.io.kube import watch as watching
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from tests.support.cluster.running import Dag, definitions
from tests.support.faults import FaultProxy

pytestmark = pytest.mark.cluster


def created(proxy: FaultProxy) -> list[int | None]:
    return [exchange.status for exchange in proxy.matching("POST", r"/pods$")]


def test_a_creation_whose_answer_is_lost_makes_one_pod(dag: Dag, tmp_path: Path) -> None:
    with dag.faults() as api:
        lost = api.on("POST", r"/pods$").lose_answer()
        done = dag.pod(definitions(tmp_path / "d"))
        assert lost.fired == 1
        assert len(created(api)) == 1
    assert done.returncode == 0, done.stderr
    assert len(dag.pods()) == 1
    assert "[build] making two-1.10-r2" in done.stdout


def test_a_server_that_is_overloaded_for_a_moment_is_asked_again(dag: Dag, tmp_path: Path) -> None:
    busy = {"kind": "Status", "message": "try again", "reason": "TooManyRequests", "code": 429}
    with dag.faults() as api:
        rules = [
            api.on("POST", "selfsubjectaccessreviews").answer(500),
            api.on("POST", r"/pods\?dryRun").answer(429, body=json.dumps(busy).encode()),
            api.on("POST", r"/pods$", nth=1).answer(429, body=json.dumps(busy).encode()),
            api.on("POST", r"/pods$", nth=2).answer(503),
            api.on("GET", r"/pods\?fieldSelector", nth=1).answer(500),
            # An authorizer that has just started knows nobody.
            api.on("GET", r"/pods\?.*watch=true", nth=1).answer(403),
            api.on("GET", r"/pods\?fieldSelector=[^&]*$", nth=3).answer(403),
            api.on("GET", r"/log\?", nth=1).answer(401),
        ]
        done = dag.pod(definitions(tmp_path / "d"))
        assert [rule.fired for rule in rules] == [1] * len(rules)
    assert done.returncode == 0, done.stderr
    assert len(dag.pods()) == 1
    assert done.stdout.splitlines() == ["[build] making one-1.10-r2", "[build] making two-1.10-r2"]


def test_a_permission_that_is_withdrawn_is_said(dag: Dag, tmp_path: Path) -> None:
    with dag.faults() as api:
        api.on("GET", r"/log\?", times=None).answer(403)
        done = dag.pod(definitions(tmp_path / "d"))
    assert done.returncode == 3, done.stderr
    assert "Forbidden" in done.stderr


def named(item: KubeObject) -> str:
    return str(item["metadata"]["name"])


async def test_a_watch_that_falls_silent_is_given_up_for_the_list(
    dag: Dag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_WATCH_SILENCE", 1.0)
    path = f"/api/v1/namespaces/{dag.namespace}/configmaps"
    with dag.faults() as api:
        stalled = api.on("GET", r"/configmaps\?.*watch=true").stall(after=0)
        kube = Kube(connect(dag.environment["KUBECONFIG"]), pytest.fail)

        async def seen(name: str) -> watching.Change:
            async for change in watching.watch_objects(kube, path):
                if isinstance(change, watching.ObjectSeen) and named(change.item) == name:
                    return change
            raise AssertionError

        task = asyncio.create_task(seen("new"))
        await stalled.reached()
        await asyncio.to_thread(dag.apply, "ConfigMap", "new")
        await asyncio.wait_for(task, 30)
        await kube.close()
