"""What `dag setup` does with objects of a cluster is not held up by what it may not look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dag.core.setup.steps import ProveByPod, mark_as_ours, object_path
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.run.setup.objects import ClusterObjects
from tests.support.apiserver import ApiServer
from tests.support.kubeconfigs import kubeconfig

POD = mark_as_ours(
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": "n"},
        "spec": {"containers": [{"name": "main", "image": "i"}]},
    }
)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as made:
        yield made


async def test_a_pod_proves_something_although_its_events_may_not_be_read(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.io.kube.api._REFUSAL_PATIENCE", 0.05)
    path = object_path(POD)

    def before(_method: str, asked: str) -> int | None:
        if asked.endswith("/events"):
            server.put(path, {"status": {"phase": "Succeeded"}}, "kubelet")
            return 403
        return None

    server.before = before
    kube = Kube(connect(kubeconfig(tmp_path / "config", server.url)), lambda _: None)
    step = ProveByPod(title="the probe", pod=POD, seconds=60)
    assert await ClusterObjects(kube, pytest.fail).do(step) == "passed"
    await kube.close()
    assert path not in server.objects
