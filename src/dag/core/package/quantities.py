"""Reads `package.resources` of a definition: quantities, as Kubernetes writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from yaml.nodes import Node

from dag.core.package.model import NO_RESOURCES, DeclaredResources
from dag.core.package.resources import Resource
from dag.core.package.yaml import NodeReader, line_of
from dag.core.units import quantity
from dag.errors import UsageError


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
