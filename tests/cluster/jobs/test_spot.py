"""Nodes that a cloud may take back have units rather than others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dag.core.arch import Arch
from dag.core.pod.scheduling import SchedulingOptions, scheduling_fields
from tests.support.cluster.running import Dag

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("alone")]
GKE = "cloud.google.com/gke-spot=true"
KINDS = (
    GKE,
    "kubernetes.azure.com/scalesetpriority=spot",
    "eks.amazonaws.com/capacityType=SPOT",
    "karpenter.sh/capacity-type=spot",
)


@contextmanager
def spot(dag: Dag, node: str, mark: str) -> Iterator[None]:
    """Let a node say by its label and its taint that the cloud may take it back."""
    dag.kubectl("label", "node", node, mark)
    dag.kubectl("taint", "node", node, f"{mark}:NoSchedule")
    try:
        yield
    finally:
        dag.kubectl("taint", "node", node, f"{mark}:NoSchedule-")
        dag.kubectl("label", "node", node, f"{mark.partition('=')[0]}-")


def place(dag: Dag, name: str, *, spot: bool) -> str:
    """Return the node to which a Pod of these flags goes."""
    fields = scheduling_fields(Arch.parse("amd64"), SchedulingOptions(spot=spot))
    container = {"name": "one", "image": dag.cluster.base_image, "command": ["true"]}
    dag.apply("Pod", name, spec={**fields, "restartPolicy": "Never", "containers": [container]})
    dag.kubectl("wait", "--for=condition=PodScheduled", f"pod/{name}", "--timeout=60s")
    found = json.loads(dag.kubectl("get", "pod", name, "-o", "json"))
    return str(found["spec"]["nodeName"])


def test_pods_go_to_spot_nodes_of_each_cloud_and_elsewhere_if_there_is_none(dag: Dag) -> None:
    usual, taken_back = dag.cluster.nodes
    for number, mark in enumerate(KINDS):
        for node, other in ((usual, taken_back), (taken_back, usual)):
            with spot(dag, node, mark):
                assert place(dag, f"spot-{number}-{node}", spot=True) == node
                assert place(dag, f"usual-{number}-{node}", spot=False) == other
    with spot(dag, taken_back, GKE):
        dag.kubectl("cordon", taken_back)
        try:
            assert place(dag, "elsewhere", spot=True) == usual
        finally:
            dag.kubectl("uncordon", taken_back)
