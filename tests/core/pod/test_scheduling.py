"""What the flags for nodes take, and what of a Pod's spec follows from them."""

from __future__ import annotations

import pytest

from dag.core.arch import Arch
from dag.core.pod.nodes import obstacle
from dag.core.pod.scheduling import (
    NodeLabel,
    SchedulingOptions,
    Toleration,
    scheduling_fields,
)
from dag.errors import UsageError

AMD64, ARM64 = Arch.parse("amd64"), Arch.parse("arm64")


def test_a_taint_is_tolerated_as_far_as_it_is_named() -> None:
    assert Toleration.parse("pool").fields() == {"key": "pool", "operator": "Exists"}
    assert Toleration.parse("pool:NoExecute").fields() == {
        "key": "pool",
        "operator": "Exists",
        "effect": "NoExecute",
    }
    assert Toleration.parse("a.example/pool=:NoSchedule").fields() == {
        "key": "a.example/pool",
        "operator": "Equal",
        "value": "",
        "effect": "NoSchedule",
    }


@pytest.mark.parametrize("text", ["", ":NoSchedule", "a:Never", "a:", "a b", "=x", "a=b c"])
def test_what_is_no_taint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is no taint") as raised:
        Toleration.parse(text)
    assert "pool=builds:NoSchedule" in str(raised.value.hint)


@pytest.mark.parametrize("text", ["", "pool", "=x", "pool=a b", "Pool.example/x/y=1"])
def test_what_is_no_label_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is no label") as raised:
        NodeLabel.parse(text)
    assert "pool=builds" in str(raised.value.hint)


def test_the_architecture_of_nodes_is_for_another_flag() -> None:
    with pytest.raises(UsageError, match="--node-arch"):
        NodeLabel.parse("kubernetes.io/arch=arm64")


def test_a_pod_asks_for_nothing_that_no_flag_asks_for() -> None:
    assert scheduling_fields(AMD64, SchedulingOptions()) == {
        "nodeSelector": {"kubernetes.io/arch": "amd64"}
    }


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("cloud.google.com/gke-spot", "true"),
        ("kubernetes.azure.com/scalesetpriority", "spot"),
        ("eks.amazonaws.com/capacityType", "SPOT"),
        ("karpenter.sh/capacity-type", "spot"),
    ],
)
def test_nodes_that_may_go_take_a_pod_only_if_that_is_asked_for(label: str, value: str) -> None:
    node = {
        "metadata": {"labels": {"kubernetes.io/arch": "amd64", label: value}},
        "spec": {"taints": [{"key": label, "value": value, "effect": "NoSchedule"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    without = scheduling_fields(AMD64, SchedulingOptions())
    assert obstacle(without, node) == f"tainted {label}"
    spec = scheduling_fields(AMD64, SchedulingOptions(spot=True))
    assert obstacle(spec, node) is None
    (kind,) = spec["affinity"]["nodeAffinity"]
    assert kind.startswith("preferred")
    terms = spec["affinity"]["nodeAffinity"][kind]
    wanted = [
        (one["key"], one["values"])
        for term in terms
        for one in term["preference"]["matchExpressions"]
    ]
    assert (label, [value]) in wanted


def test_a_pod_has_all_that_the_flags_say_besides_what_its_architecture_needs() -> None:
    options = SchedulingOptions(
        node_labels=(NodeLabel.parse("pool=builds"),),
        tolerations=(Toleration.parse("pool=builds"),),
        priority_class="low",
        pull_secrets=("one", "two"),
    )
    fields = scheduling_fields(ARM64, options)
    assert fields["nodeSelector"] == {"kubernetes.io/arch": "arm64", "pool": "builds"}
    assert [one["key"] for one in fields["tolerations"]] == ["kubernetes.io/arch", "pool"]
    assert fields["priorityClassName"] == "low"
    assert fields["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
