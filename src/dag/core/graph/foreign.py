"""Needs that a definition gives, but not on the architecture that is built for."""

from __future__ import annotations

from functools import partial

from msgspec import Struct

from dag.core.arch import Arch
from dag.core.graph.graph import Graph
from dag.core.graph.stops import first_needs
from dag.core.package.model import Need, Package
from dag.core.package.supply import Supply


class ForeignNeed(Struct, frozen=True):
    """A need of a package whose definition melange skips on this architecture."""

    package: str
    need: Need
    definition: Package
    arch: Arch

    def __str__(self) -> str:
        return (
            f"{self.package} needs {self.need.name} at {self.need.file}:{self.need.line}, but "
            f"{self.definition.file}:{self.definition.line} is not for {self.arch}"
        )


def foreign_need(
    graph: Graph, arch: Arch, package: str, supply: Supply, need: Need
) -> ForeignNeed | None:
    """Return the need of a package if only a definition for other architectures gives it.

    `supply` is what there is for the environment that has the need.
    """
    origin = graph.origin(need.name) if supply.is_unknown(need.text) else None
    if origin is None or origin.builds_on(arch.apk):
        return None
    return ForeignNeed(package, need, origin, arch)


def foreign_needs(graph: Graph, arch: Arch) -> dict[str, ForeignNeed]:
    """Return the packages whose environment needs something for another architecture.

    Each has the first such need. What a repository has is no such need, and what is for another
    architecture itself has none.
    """
    foreign = {one.name for one in graph.packages if not one.builds_on(arch.apk)}
    if not foreign:
        return {}
    found = first_needs(graph.installs, partial(foreign_need, graph, arch))
    return {name: need for name, need in found.items() if name not in foreign}
