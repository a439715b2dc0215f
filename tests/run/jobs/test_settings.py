"""The identity of Jobs' agents is what the service account says, as far as it may be read."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from dag.core.pod.options import ClusterOptions
from dag.core.store.buckets import Bucket
from dag.errors import UsageError
from dag.io.kube.api import Kube
from dag.report.terminal import Terminal
from dag.run.jobs.settings import with_identity
from dag.run.pod.place import PlaceChecks
from tests.run.jobs.conftest import answer
from tests.support.faults import Origin
from tests.support.orders import SETTINGS

ACCOUNT = "/api/v1/namespaces/builds/serviceaccounts/builder"
IN_BUCKET = replace(SETTINGS, store=Bucket.parse("s3://built"))
KEY = "eks.amazonaws.com/role-arn"


def account(role: str) -> dict[str, object]:
    metadata = {"name": "builder", "uid": "one", "annotations": {KEY: role}}
    return {"kind": "ServiceAccount", "metadata": metadata}


async def test_the_account_is_asked_if_the_store_is_a_bucket(kube: Kube, origin: Origin) -> None:
    origin.handle(ACCOUNT, lambda _: answer(200, account("arn:aws:iam::123456789012:role/dag")))
    identity = (await with_identity(kube, IN_BUCKET)).identity
    assert identity is not None
    assert identity.variables["AWS_ROLE_ARN"] == "arn:aws:iam::123456789012:role/dag"
    assert (await with_identity(kube, SETTINGS)).identity is None


@pytest.mark.parametrize("status", [403, 404])
async def test_an_account_that_nobody_sees_says_nothing(
    kube: Kube, origin: Origin, status: int
) -> None:
    refusal = {"kind": "Status", "status": "Failure", "message": "no", "code": status}
    origin.handle(ACCOUNT, lambda _: answer(status, refusal))
    assert (await with_identity(kube, IN_BUCKET)).identity is None


async def test_a_role_that_cannot_be_is_refused_and_found_by_the_doctor(
    kube: Kube, origin: Origin
) -> None:
    origin.handle(ACCOUNT, lambda _: answer(200, account("dag")))
    refusal = "builder has 'dag' as eks"
    with pytest.raises(UsageError, match=refusal):
        await with_identity(kube, IN_BUCKET)
    chosen = cast("ClusterOptions", SimpleNamespace(service_account="builder"))
    place = PlaceChecks(chosen, "builds", Terminal())
    place._kube = kube
    with pytest.raises(UsageError, match=refusal):
        await place.service_account(Bucket.parse("s3://built"), secret=False)
    assert place.identity(Bucket.parse("s3://built")) is None
