"""Needs that a definition gives, but not on the architecture that is built for."""

from __future__ import annotations

from dataclasses import dataclass

from dag.core.arch import Arch
from dag.core.graph.graph import Graph
from dag.core.package.model import Need, Package


@dataclass(frozen=True, slots=True)
class ForeignNeed:
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


def foreign_needs(graph: Graph, arch: Arch) -> dict[str, ForeignNeed]:
    """Return the packages that need something for another architecture → their first such need.

    What a repository has is no such need, and what is for another architecture itself has none.
    """
    if all(package.builds_on(arch.apk) for package in graph.packages):
        return {}
    found: dict[str, ForeignNeed] = {}
    for package in graph.packages:
        for need in package.environment if package.builds_on(arch.apk) else ():
            origin = graph.origin(need.name)
            if (
                origin is not None
                and not origin.builds_on(arch.apk)
                and need.name not in graph.available
            ):
                found.setdefault(package.name, ForeignNeed(package.name, need, origin, arch))
    return found
