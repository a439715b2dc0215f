"""What definitions ask of the machine that they are built on: `package.resources`, as quantities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from yaml.nodes import Node

from dag.core.package.model import NO_RESOURCES, DeclaredResources, Package
from dag.core.package.yaml import NodeReader, line_of
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


def read_resources(tree: NodeReader, node: Node | None) -> DeclaredResources:
    """Return what `package.resources` says; what is no quantity there is a problem."""
    texts = tree.strings(node, "package.resources")
    if not texts:
        return NO_RESOURCES
    fields = tree.mapping(node, "package.resources")
    for name, what, fix in _wrong_quantities(texts):
        tree.problem(line_of(fields[name]), f"package.resources.{name}: {what}", fix)
    return DeclaredResources(
        cpu=texts.get("cpu", ""),
        cpumodel=texts.get("cpumodel", ""),
        memory=texts.get("memory", ""),
        disk=texts.get("disk", ""),
        lines=tuple((name, line_of(value)) for name, value in fields.items()),
    )


def _wrong_quantities(texts: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield the fields of `package.resources` that are no quantities: name, what is wrong, remedy."""
    for name in get_args(Resource):
        try:
            if texts.get(name):
                quantity(texts[name])
        except UsageError as error:
            what, _, fix = error.message.rpartition(": ")
            yield name, what, fix


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
