"""A pod whose creation was not answered is found again, and a stranger's is not taken for it."""

from __future__ import annotations

import json

import pytest

from dag.core.kube.objects import KubeObject, is_made_of, seal
from dag.io.kube.api import ApiError, Kube
from dag.run.pod.create import create_pod, find_pod, pods_path
from tests.support.faults import Answer, Incoming, Origin

METADATA = {"generateName": "dag-", "namespace": "n", "labels": {"dag/run": "abc"}}
MANIFEST = seal({"kind": "Pod", "metadata": METADATA, "spec": {"containers": [{"image": "a"}]}})


def made(manifest: KubeObject, name: str, **more: object) -> KubeObject:
    """Return an object as the server shows it: named, with what it and webhooks have added."""
    metadata = {**manifest["metadata"], "name": name, "uid": f"u-{name}", "resourceVersion": "1"}
    return {**manifest, "metadata": metadata, "spec": {**manifest["spec"], "added": 1}, **more}


class Api:
    """An API that makes what is posted, and does not say so."""

    def __init__(self, origin: Origin, *there: KubeObject) -> None:
        self.there = list(there)
        origin.handle(pods_path(MANIFEST), self._answer)

    def _answer(self, request: Incoming) -> Answer:
        if request.method == "POST":
            return Answer.of(503, body=b'{"kind": "Status", "message": "overloaded"}')
        found = {"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": self.there}
        return Answer.of(200, body=json.dumps(found).encode())


OTHER = seal({**MANIFEST, "spec": {"containers": [{"image": "evil"}]}})
BARE = {**MANIFEST, "metadata": METADATA}


@pytest.mark.parametrize("stranger", [OTHER, BARE, {**MANIFEST, "metadata": OTHER["metadata"]}])
async def test_a_strangers_pod_with_our_labels_is_refused(
    origin: Origin, kube: Kube, stranger: KubeObject
) -> None:
    Api(origin, made(stranger, "x"))
    for work in (create_pod(kube, MANIFEST), find_pod(kube, MANIFEST, patience=1)):
        with pytest.raises(ApiError, match="pod x carries the labels of this run, but was not"):
            await work


async def test_our_own_is_found_beside_a_strangers(origin: Origin, kube: Kube) -> None:
    Api(origin, made(OTHER, "x"), made(MANIFEST, "y"))
    assert (await create_pod(kube, MANIFEST))["metadata"]["name"] == "y"
    found = await find_pod(kube, MANIFEST, patience=1)
    assert found is not None
    assert found["metadata"]["name"] == "y"


async def test_where_nothing_was_made_nothing_is_found(origin: Origin, kube: Kube) -> None:
    Api(origin)
    assert await find_pod(kube, MANIFEST, patience=1) is None


def test_a_seal_is_of_everything_that_is_asked_for() -> None:
    manifests = [MANIFEST, OTHER, seal({**BARE, "metadata": {**METADATA, "namespace": "m"}})]
    same = [[is_made_of(made(one, "x"), other) for other in manifests] for one in manifests]
    assert same == [[True, False, False], [False, True, False], [False, False, True]]
    assert not is_made_of(BARE, BARE)
