"""Needs that no definition gives."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from dag.core.graph.installs import Installs
from dag.core.graph.stops import BrokenNames, BrokenNeed
from dag.core.package.model import Package


@dataclass(frozen=True, slots=True)
class NeedsElsewhere:
    """Needs that neither definitions nor repositories give."""

    externals: dict[str, list[str]] = field(default_factory=dict)
    """What must be found elsewhere → the packages that need it."""
    broken: dict[str, BrokenNeed] = field(default_factory=dict)
    """Packages that need what only a broken definition might give → the first such need."""


def find_needs_elsewhere(
    packages: Sequence[Package], installs: Installs, makers: Container[str], broken: BrokenNames
) -> NeedsElsewhere:
    """Return what `packages` need that is not there; `makers` has the names that are defined.

    A need of a definition for another architecture is not among them.
    """
    choice, is_external = installs.environments.choice, installs.supply.is_external
    asked = {need[0] for package in packages for need in package.environment}
    chosen = {text: choice(text) for text in asked if text[:1] != "!"}
    texts = {text for text, one in chosen.items() if one is None or is_external(one)}
    found = NeedsElsewhere()
    for package in packages:
        for need in package.environment:
            if need[0] not in texts:
                continue
            name = installs.external_name(need)
            if name in makers:
                continue
            stop = broken.find(package.name, need) if broken and name == need.name else None
            if stop:
                found.broken.setdefault(package.name, stop)
                continue
            users = found.externals.setdefault(name, [])
            if package.name not in users[-1:]:
                users.append(package.name)
    return found
