"""Nodes that a cloud may take back have units rather than others, and cost none when they go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dag.core.arch import Arch
from dag.core.jobs.names import job_name
from dag.core.pod.scheduling import SchedulingOptions, scheduling_fields
from tests.support.cluster.jobs import Jobs
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


def test_a_unit_whose_spot_node_is_taken_back_is_built_elsewhere(jobs: Jobs) -> None:
    dag, cluster = jobs.dag, jobs.dag.cluster
    usual, taken_back = cluster.nodes
    jobs.define(one="echo building; sleep 20")
    try:
        dag.kubectl("label", "node", taken_back, GKE)
        dag.kubectl("taint", "node", taken_back, f"{GKE}:NoSchedule")
        running = jobs.start("--spot")
        assert jobs.await_build("one")["spec"]["nodeName"] == taken_back
        # The machine is gone, and then the cloud says so.
        cluster.stop_node(taken_back)
        dag.kubectl("delete", "node", taken_back)
        running.await_line(rf"one: node {taken_back} no longer exists")
        done = running.end()
    finally:
        # As a new one it has neither the label nor the taint.
        dag.kubectl("delete", "node", taken_back, "--ignore-not-found")
        cluster.restart_kubelet(taken_back)
        cluster.wait_until_ready()
    assert done.returncode == 0, done.stderr
    # What has run on there all the same may have been proven meanwhile.
    run = max(path.name for path in jobs.store.glob(".dag/runs/*"))
    where = [jobs.nodes()[job_name(run, "one", "x86_64", attempt)] for attempt in (1, 2)]
    assert where == [taken_back, usual]
    assert jobs.jobs() == []
