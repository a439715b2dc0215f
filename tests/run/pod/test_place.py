"""What a cluster is asked before a build, of the rights of its pods, and what follows from the answer."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from dag.core.doctor.checks import Status
from dag.core.pod.manifest import pod
from dag.core.pod.sample import sample_pod
from dag.report.terminal import Terminal
from dag.run.pod.place import PlaceChecks
from tests.core.pod.test_manifest import SMALLEST
from tests.support.faults import Answer, Incoming, Origin

if TYPE_CHECKING:
    from dag.core.pod.options import ClusterOptions
    from dag.io.kube.api import Kube

PODS = "/api/v1/namespaces/n/pods"
NAMESPACE = "/api/v1/namespaces/n"


def answer(status: int, found: object) -> Answer:
    return Answer.of(status, body=json.dumps(found).encode())


def refusal(status: int, message: str) -> Answer:
    return answer(status, {"kind": "Status", "message": message, "code": status})


@pytest.fixture
async def place(kube: Kube, origin: Origin) -> PlaceChecks:
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    metadata = {"name": "n", "uid": "n", "labels": labels}
    origin.handle(NAMESPACE, lambda _: answer(200, {"kind": "Namespace", "metadata": metadata}))
    chosen = cast("ClusterOptions", SimpleNamespace(service_account="builder"))
    place = PlaceChecks(chosen, "n", Terminal(verbosity=0))
    place._kube = kube
    assert (await place.namespace()).status is Status.OK
    return place


async def test_whether_a_build_is_admitted_the_server_says_and_not_the_label_and_none_is_made(
    place: PlaceChecks, origin: Origin
) -> None:
    asked: list[Incoming] = []

    def create(request: Incoming) -> Answer:
        asked.append(request)
        return answer(201, {"kind": "Pod", "metadata": {"name": "dag-x", "uid": "x"}})

    origin.handle(PODS, create)
    # Whoever runs the cluster may except a namespace from what its label says.
    found = await place.pod_security("sdk:1", confined=True)
    assert found.status is Status.OK
    (request,) = asked
    assert request.method == "POST"
    assert "dryRun=All" in request.target


@pytest.mark.parametrize("confined", [True, False])
def test_the_pod_that_is_asked_about_has_all_rights_of_one_that_builds(confined: bool) -> None:
    isolation = "userns" if confined else "privileged"
    built = pod(replace(SMALLEST, options=replace(SMALLEST.options, isolation=isolation)))["spec"]
    asked = sample_pod("n", "default", "sdk:1", confined=confined)["spec"]
    for name in ("hostUsers", "securityContext", "serviceAccountName"):
        assert asked.get(name) == built.get(name)
    assert asked["containers"][0]["securityContext"] == built["containers"][0]["securityContext"]


async def test_the_rules_that_a_pod_breaks_are_those_that_the_server_names(
    place: PlaceChecks, origin: Origin
) -> None:
    words = 'violates PodSecurity "baseline:v1.35": seccompProfile (…)'
    origin.handle(PODS, lambda _: refusal(403, f'pods "dag-x" is forbidden: {words}'))
    found = await place.pod_security("sdk:1", confined=True)
    assert found.status is Status.FAILED
    assert found.message.endswith(words)


@pytest.mark.parametrize(
    "message",
    [
        'pods is forbidden: User "limited" cannot create resource "pods" in API group ""',
        'pods "dag-x" is forbidden: error looking up service account n/builder: not found',
    ],
)
async def test_where_no_policy_was_asked_the_label_of_the_namespace_tells(
    place: PlaceChecks, origin: Origin, message: str
) -> None:
    origin.handle(PODS, lambda _: refusal(403, message))
    found = await place.pod_security("sdk:1", confined=True)
    assert found.status is Status.FAILED
    assert "namespace n enforces the level baseline" in found.message
