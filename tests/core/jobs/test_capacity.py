"""How many units have room on the nodes, and how large one may be."""

from __future__ import annotations

from typing import Any

from dag.core.arch import Arch
from dag.core.build.events import ComputeResources
from dag.core.jobs.capacity import ClusterCapacity, capacity_of
from dag.core.jobs.options import UnitBuildOptions
from dag.core.pod.scheduling import NodeLabel, SchedulingOptions, Toleration

GIB = 1 << 30


def node(
    cpu: str,
    memory: str,
    *,
    arch: str = "amd64",
    unschedulable: bool = False,
    ready: bool = True,
) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{arch}-{cpu}", "labels": {"kubernetes.io/arch": arch}},
        "spec": {"unschedulable": unschedulable},
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory},
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


NODES = [node("4", "8Gi"), node("1950m", "3Gi"), node("64", "1Ti", unschedulable=True), node("64", "1Ti", arch="arm64"), node("64", "1Ti", ready=False)]  # fmt: skip


def capacity() -> ClusterCapacity:
    return capacity_of(NODES, Arch.parse("x86_64"), SchedulingOptions())


def test_as_many_units_as_have_room_are_built_at_once() -> None:
    # Beside each runs an agent, which takes a little.
    assert capacity().jobs(ComputeResources(1000, GIB)) == 3 + 1
    assert capacity().jobs(ComputeResources(100, 2 * GIB)) == 3 + 1


def test_disk_counts_where_nodes_count_it() -> None:
    large, small = node("4", "8Gi"), node("4", "8Gi")
    large["status"]["allocatable"]["ephemeral-storage"] = "10Gi"
    small["status"]["allocatable"]["ephemeral-storage"] = "3Gi"
    found = capacity_of([large, small], Arch.parse("x86_64"), SchedulingOptions())
    assert found.jobs(ComputeResources(1000, GIB, 4 * GIB)) == 2
    assert not found.has_room(ComputeResources(1000, GIB, 10 * GIB))
    assert found.max_disk == 10 * GIB - (64 << 20)
    assert capacity().jobs(ComputeResources(1000, GIB, 4 * GIB)) == 3 + 1
    flags = UnitBuildOptions(on="kubernetes", disk="4Gi", ram="1Gi")
    assert flags.request().resources == ComputeResources(1000, GIB, 4 * GIB)
    assert flags.cluster_limits(found).jobs == 2
    assert flags.cluster_limits(ClusterCapacity()).max_disk == 256 * GIB
    assert UnitBuildOptions(disk="4Gi").request().resources.disk == 0


def test_architectures_that_share_nodes_share_what_has_room_there() -> None:
    options = UnitBuildOptions(cpu="1", ram="1Gi")
    assert options.cluster_limits(capacity()).jobs == 4
    assert options.cluster_limits(capacity(), sharing=2).jobs == 2
    assert options.cluster_limits(capacity(), sharing=9).jobs == 1
    assert UnitBuildOptions(jobs=7).cluster_limits(capacity(), sharing=2).jobs == 7


def test_only_nodes_count_that_the_flags_and_their_taints_leave() -> None:
    unit = ComputeResources(1000, GIB)
    tainted = node("8", "8Gi")
    tainted["metadata"]["labels"]["pool"] = "builds"
    tainted["spec"]["taints"] = [{"key": "pool", "value": "builds", "effect": "NoSchedule"}]
    amd64 = Arch.parse("x86_64")
    tolerant = SchedulingOptions(tolerations=(Toleration.parse("pool=builds:NoSchedule"),))
    assert capacity_of([*NODES, tainted], amd64, SchedulingOptions()) == capacity()
    assert capacity_of([*NODES, tainted], amd64, tolerant).jobs(unit) == capacity().jobs(unit) + 6
    chosen = SchedulingOptions(
        node_labels=(NodeLabel("pool", "builds"),), tolerations=tolerant.tolerations
    )
    assert capacity_of([*NODES, tainted], amd64, chosen).jobs(unit) == 6


def test_a_unit_must_have_room_on_one_node() -> None:
    assert capacity().has_room(ComputeResources(1000, 7 * GIB))
    assert not capacity().has_room(ComputeResources(1000, 8 * GIB))
    assert not capacity().has_room(ComputeResources(4000, GIB))


def test_where_no_nodes_are_known_nothing_is_refused() -> None:
    assert ClusterCapacity().has_room(ComputeResources(10**6, 1 << 50))
    assert ClusterCapacity().jobs(ComputeResources(1000, GIB)) > 1
    assert ClusterCapacity().max_ram is None
