"""The queue of --queue is looked for in the version of Kueue that the cluster prefers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from dag.core.doctor.checks import Status
from dag.io.kube.api import ApiError, Kube
from dag.run.jobs.preflight import JobChecks
from dag.run.pod.place import PlaceChecks
from tests.run.jobs.conftest import answer
from tests.support.faults import Origin
from tests.support.orders import SETTINGS

GROUP = "/apis/kueue.x-k8s.io"
QUEUE = f"{GROUP}/v1beta2/namespaces/n/localqueues/q"


def checks(kube: Kube) -> JobChecks:
    return JobChecks(cast("PlaceChecks", SimpleNamespace(kube=kube, name="n")), SETTINGS)


async def test_a_queue_is_found(kube: Kube, origin: Origin) -> None:
    version = {"groupVersion": "kueue.x-k8s.io/v1beta2", "version": "v1beta2"}
    group = {"kind": "APIGroup", "versions": [version], "preferredVersion": version}
    origin.handle(GROUP, lambda _: answer(200, group))
    found = {"kind": "LocalQueue", "metadata": {"name": "q", "uid": "one"}}
    origin.handle(QUEUE, lambda _: answer(200, found))
    assert (await checks(kube)._queue("q")).status is Status.OK


async def test_another_answer_is_no_group(kube: Kube, origin: Origin) -> None:
    origin.handle(GROUP, lambda _: answer(200, {"kind": "APIGroup"}))
    with pytest.raises(ApiError, match="no group of its API"):
        await kube.get(GROUP, patience=0)
