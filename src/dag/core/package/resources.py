"""What definitions ask of the machine that they are built on: `package.resources`, as quantities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from dag.core.package.model import Package
from dag.core.units import quantity
from dag.errors import UsageError

Resource = Literal["cpu", "memory", "disk"]


@dataclass(frozen=True, slots=True)
class Demand:
    """What one definition asks for of one resource, and where it does."""

    package: str
    text: str
    """The Kubernetes quantity as it is written."""
    amount: Decimal
    """CPUs, or bytes."""
    place: str
    """FILE:LINE."""


def demand_of(package: Package, resource: Resource) -> Demand | None:
    """Return what a definition asks for, None if it asks for nothing.

    Raises:
        UsageError: it is no quantity, or not above zero.

    """
    asked = package.resources
    text = {"cpu": asked.cpu, "memory": asked.memory, "disk": asked.disk}[resource]
    if not text:
        return None
    place = f"{package.file}:{dict(asked.lines).get(resource, package.line)}"
    try:
        amount = quantity(text)
    except UsageError as error:
        raise UsageError(
            f"{place}: package.resources.{resource} of {package.name}: {error.message}",
            hint=error.hint,
        ) from None
    return Demand(package.name, text, amount, place)


def largest_demand(packages: Iterable[Package], resource: Resource) -> Demand | None:
    """Return the largest demand of these definitions; of equal ones the first.

    Raises:
        UsageError: one of them is no quantity.

    """
    demands = (demand_of(package, resource) for package in packages)
    return max(
        (one for one in demands if one is not None), key=lambda one: one.amount, default=None
    )
