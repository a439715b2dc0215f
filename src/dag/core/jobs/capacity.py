"""How much of a cluster units may take."""

from __future__ import annotations

from collections.abc import Iterable

from dag.core.arch import Arch
from dag.core.build.options import MachineResources
from dag.core.kube.objects import KubeView
from dag.core.units import amount

UNKNOWN = MachineResources(processors=16, ram=1 << 40)
"""What is assumed where nobody may look at nodes, or where they are made when they are needed."""


def capacity_of(nodes: Iterable[KubeView], arch: Arch) -> MachineResources:
    """Return the processors and the memory of all nodes of an architecture that take pods."""
    processors, ram = 0, 0
    for node in nodes:
        labels = node["metadata"].get("labels", {})
        if labels.get("kubernetes.io/arch") != arch.kubernetes or node["spec"].get("unschedulable"):
            continue
        allocatable = node.get("status", {}).get("allocatable", {})
        processors += int(amount(allocatable.get("cpu", "0")))
        ram += int(amount(allocatable.get("memory", "0")))
    return MachineResources(processors=processors, ram=ram) if processors else UNKNOWN
