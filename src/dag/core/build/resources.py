"""The resources that a unit gets."""

from __future__ import annotations

from collections.abc import Mapping

from dag.core.build.events import ComputeResources
from dag.core.package.model import Package
from dag.core.package.resources import demand_of
from dag.core.units import amount, quantity

NO_RESOURCES = ComputeResources(0, 0)


def resources_of_flags(cpu: str, ram: str, disk: str = "0") -> ComputeResources:
    """Return what `--cpu`, `--ram` and `--disk` say, which are quantities."""
    return ComputeResources(int(quantity(cpu) * 1000) or 1, int(quantity(ram)), int(amount(disk)))


def unit_resources(
    package: Package, default: ComputeResources, needed: ComputeResources = NO_RESOURCES
) -> ComputeResources:
    """Return what the definition asks for, else the `default`; at least the bytes that it `needed`.

    Where the `default` counts no disk, none is counted.

    Raises:
        UsageError: the definition's resources are not quantities.

    """
    asked = package.resources
    if not (asked.cpu or asked.memory or asked.disk) and needed == NO_RESOURCES:
        return default
    cpu = demand_of(package, "cpu")
    memory = demand_of(package, "memory")
    disk = demand_of(package, "disk") if default.disk else None
    return ComputeResources(
        default.cpu if cpu is None else int(cpu.amount * 1000),
        max(needed.ram, default.ram if memory is None else int(memory.amount)),
        max(needed.disk if default.disk else 0, default.disk if disk is None else int(disk.amount)),
    )


def in_words(resources: ComputeResources) -> str:
    """Return resources as people read them."""
    disk = f", and {resources.disk >> 20:,} MiB of disk" if resources.disk else ""
    return f"{resources.cpu / 1000:g} CPUs and {resources.ram >> 20:,} MiB{disk}"


def too_large_words(asked: Mapping[str, ComputeResources], machine: ComputeResources) -> str:
    """Return in words which units ask for more than a machine has, and what follows; empty if none does.

    `asked` has for each unit what it asks for.
    """
    large = [name for name, one in asked.items() if one.cpu > machine.cpu or one.ram > machine.ram]
    if not large:
        return ""
    several = len(large) > 1
    who = f"{large[0]} and {len(large) - 1:,} more ask" if several else f"{large[0]} asks"
    return (
        f"{who} for more than the {in_words(machine)} of this machine ({large[0]}:"
        f" {in_words(asked[large[0]])}): {'each' if several else 'it'} is built while nothing else is,"
        " with all that there is"
    )
