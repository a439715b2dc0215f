"""What an API server tells of the queue of --queue, and of the account that a driver has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from dag.core.doctor.checks import Status
from dag.core.jobs.options import UnitBuildOptions
from dag.io.kube.api import ApiError, Kube
from dag.report.terminal import Terminal
from dag.run.jobs.preflight import ACCOUNT_CHECK, JobChecks
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


async def test_a_build_is_not_detached_without_the_account_of_its_driver(
    kube: Kube, origin: Origin
) -> None:
    path = "/api/v1/namespaces/n/serviceaccounts/dag-driver"
    missing = {"kind": "Status", "message": "not found", "code": 404}
    origin.handle(path, lambda _: answer(404, missing))
    found = await checks(kube)._driver_account()
    assert found.status is Status.FAILED
    assert found.fix == "dag setup cluster -n n"
    account = {"kind": "ServiceAccount", "metadata": {"name": "dag-driver", "uid": "one"}}
    origin.handle(path, lambda _: answer(200, account))
    assert (await checks(kube)._driver_account()).status is Status.OK


def test_that_account_is_looked_at_only_for_a_build_that_is_detached() -> None:
    place = PlaceChecks(UnitBuildOptions(), "n", Terminal(verbosity=0))
    names = [
        {one.name for one in JobChecks(place, SETTINGS, detach=detach).all()}
        for detach in (False, True)
    ]
    assert names[1] - names[0] == {ACCOUNT_CHECK}


async def test_another_answer_is_no_group(kube: Kube, origin: Origin) -> None:
    origin.handle(GROUP, lambda _: answer(200, {"kind": "APIGroup"}))
    with pytest.raises(ApiError, match="no group of its API"):
        await kube.get(GROUP, patience=0)
