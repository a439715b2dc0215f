"""How much of a cluster units may take: how many at once, and how large a single one may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dag.core.arch import Arch
from dag.core.build.events import ComputeResources
from dag.core.kube.objects import KubeView
from dag.core.pod.nodes import obstacle
from dag.core.pod.scheduling import SchedulingOptions, scheduling_fields
from dag.core.units import amount

AGENT_SHARE = ComputeResources(cpu=50, ram=256 << 20, disk=64 << 20)
"""What the agent beside a build asks for."""
_UNKNOWN_JOBS = 16
"""How many units are built at once where nobody may look at nodes, or they are made when needed."""
NO_ROOM = (
    "if no pool of larger nodes scales, ask for less with --cpu, --ram and --disk or in the definition, or add"
    " a larger node"
)
"""What mends it that no node has room for a unit."""


@dataclass(frozen=True, slots=True)
class NodeCapacity:
    """What Pods may take of a node."""

    name: str
    free: ComputeResources

    def fits(self, unit: ComputeResources) -> int:
        """Return how many such units have room on the node at once, if nothing else is there."""
        room = min(
            self.free.cpu // max(1, unit.cpu + AGENT_SHARE.cpu),
            self.free.ram // max(1, unit.ram + AGENT_SHARE.ram),
        )
        if not self.free.disk:  # the node counts none
            return room
        return min(room, self.free.disk // max(1, unit.disk + AGENT_SHARE.disk))


@dataclass(frozen=True, slots=True)
class ClusterCapacity:
    """The nodes that take Pods; none if nobody may look, or there are none now."""

    nodes: tuple[NodeCapacity, ...] = ()

    def jobs(self, unit: ComputeResources) -> int:
        """Return how many such units are built at once."""
        return sum(node.fits(unit) for node in self.nodes) or _UNKNOWN_JOBS

    def has_room(self, unit: ComputeResources) -> bool:
        """Return whether some node has room for a unit, as far as nodes are known."""
        return not self.nodes or any(node.fits(unit) for node in self.nodes)

    @property
    def max_ram(self) -> int | None:
        """Return the most memory that a unit can get; None if nobody knows."""
        return max((node.free.ram - AGENT_SHARE.ram for node in self.nodes), default=None)

    @property
    def max_disk(self) -> int | None:
        """Return the most disk that a unit can ask for; None if nobody knows."""
        return max((node.free.disk - AGENT_SHARE.disk for node in self.nodes), default=None)


def capacity_of(
    nodes: Iterable[KubeView], arch: Arch, options: SchedulingOptions
) -> ClusterCapacity:
    """Return what Pods for an architecture may take of the nodes that take them."""
    spec = scheduling_fields(arch, options)
    return ClusterCapacity(
        tuple(
            NodeCapacity(str(node["metadata"]["name"]), _allocatable(node))
            for node in nodes
            if obstacle(spec, node) is None
        )
    )


def requests_of(pod: KubeView, container: str) -> ComputeResources | None:
    """Return what a container of a Pod's spec asks for; None if there is no such container."""
    for one in pod.get("containers", ()):
        if one["name"] == container:
            asked = one.get("resources", {}).get("requests", {})
            return _resources(asked)
    return None


def _allocatable(node: KubeView) -> ComputeResources:
    return _resources(node.get("status", {}).get("allocatable", {}))


def _resources(amounts: KubeView) -> ComputeResources:
    return ComputeResources(
        int(amount(str(amounts.get("cpu", "0"))) * 1000),
        int(amount(str(amounts.get("memory", "0")))),
        int(amount(str(amounts.get("ephemeral-storage", "0")))),
    )
