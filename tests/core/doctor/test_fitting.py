"""The room for a Pod: what it asks for, what keeps it from a node, and what is free there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dag.core.doctor.checks import Status
from dag.core.doctor.fitting import judge, requests
from dag.core.pod.nodes import obstacle

GIB = 1 << 30


def container(cpu: str = "0", memory: str = "0", **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}}, **more}


def spec(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "initContainers": list(init),
        "containers": list(containers),
    }


def node(name: str = "a", cpu: str = "4", arch: str = "amd64", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/arch": arch}},
        "spec": more,
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "10"},
        },
    }


def pod(on: str, cpu: str, phase: str = "Running") -> dict[str, Any]:
    return {"spec": {"nodeName": on, "containers": [container(cpu)]}, "status": {"phase": phase}}


def test_init_containers_run_before_the_rest_and_sidecars_beside_them() -> None:
    sidecar = container("500m", "1Gi", restartPolicy="Always")
    asked = requests(spec(container("1"), container("250m", "1Gi"), init=(container("2"),)))
    assert asked == {"cpu": 2, "memory": GIB}
    asked = requests(spec(container("1"), init=(sidecar, container("2", "3Gi"))))
    assert asked == {"cpu": Decimal("2.5"), "memory": 4 * GIB}
    asked = requests(spec(container("3"), init=(container("2"), sidecar)))
    assert asked == {"cpu": Decimal("3.5"), "memory": GIB}


def test_a_limit_alone_is_a_request_and_overhead_comes_on_top() -> None:
    limited = {"resources": {"limits": {"cpu": "2"}}}
    assert requests({**spec(limited), "overhead": {"cpu": "100m"}}) == {"cpu": Decimal("2.1")}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (node(), None),
        (node(arch="arm64"), "kubernetes.io/arch is arm64"),
        (node(unschedulable=True), "cordoned"),
        (node(taints=[{"key": "spot", "value": "yes", "effect": "NoSchedule"}]), "tainted spot"),
        (node(taints=[{"key": "spot", "effect": "PreferNoSchedule"}]), None),
        (node() | {"status": {}}, "not ready"),
    ],
)
def test_what_keeps_a_pod_from_a_node(given: dict[str, Any], why: str | None) -> None:
    assert obstacle(spec(container()), given) == why


def test_a_toleration_opens_a_tainted_node_when_it_matches() -> None:
    tainted = node(taints=[{"key": "arch", "value": "arm64", "effect": "NoSchedule"}])
    for toleration, opens in (
        ({"key": "arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}, True),
        ({"key": "arch", "operator": "Equal", "value": "amd64"}, False),
        ({"key": "arch", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
    ):
        tolerant = {**spec(container()), "tolerations": [toleration]}
        assert (obstacle(tolerant, tainted) is None) == opens, toleration


def test_pods_that_run_take_room_and_pods_that_ended_do_not() -> None:
    wanted = spec(container("2"))
    finding = judge(wanted, [node()], [pod("a", "2"), pod("b", "4"), pod("a", "4", "Succeeded")])
    assert (finding.status, finding.message) == (Status.OK, "a has room now")
    finding = judge(wanted, [node(), node("b")], [pod("a", "2100m"), pod("b", "2100m")])
    assert finding.status is Status.WARNING
    assert finding.message == "a and 1 more are large enough, but busy now: the pod would wait"
    finding = judge(wanted, [node()], [pod("a", "1m") for _ in range(10)])
    assert "busy now" in finding.message  # ten pods are the most that this node takes


def test_without_a_look_at_pods_only_the_size_is_judged() -> None:
    finding = judge(spec(container("2")), [node()], None)
    assert finding.status is Status.OK
    assert finding.message == "a is large enough; how busy may not be read"


def test_what_is_too_large_is_named_with_the_most_that_a_node_has() -> None:
    finding = judge(spec(container("9", "16Gi")), [node(), node("b", cpu="8")], [])
    assert finding.status is Status.WARNING
    assert finding.message == (
        "no amd64 node is large enough, even when idle: the pod asks for 9 CPUs and the largest has"
        " 8 CPUs, 16 GiB of memory and the largest has 8 GiB of memory"
    )


def test_no_node_at_all_and_none_that_takes_it_are_told_apart() -> None:
    assert "no node is amd64 now" in judge(spec(container()), [node(arch="arm64")], []).message
    finding = judge(spec(container()), [node(unschedulable=True)], [])
    assert finding.message == "no amd64 node takes the pod now: a (cordoned)"
