"""The resources that a unit gets."""

from __future__ import annotations

from dag.core.build.events import ComputeResources
from dag.core.package.model import Package
from dag.core.package.resources import demand_of
from dag.core.units import quantity


def resources_of_flags(cpu: str, ram: str) -> ComputeResources:
    """Return what `--cpu` and `--ram` say, which are quantities."""
    return ComputeResources(int(quantity(cpu) * 1000) or 1, int(quantity(ram)))


def unit_resources(package: Package, default: ComputeResources, needed: int) -> ComputeResources:
    """Return what the definition asks for, else the `default`; at least the bytes that it `needed`.

    Raises:
        UsageError: the definition's resources are not quantities.

    """
    asked = package.resources
    if not (asked.cpu or asked.memory or needed):
        return default
    cpu = demand_of(package, "cpu")
    memory = demand_of(package, "memory")
    return ComputeResources(
        default.cpu if cpu is None else int(cpu.amount * 1000),
        max(needed, default.ram if memory is None else int(memory.amount)),
    )
