"""Names of packages → the definitions that give them: packages, subpackages, provided names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dag.core.package.model import Package, Subpackage, bare_name
from dag.core.package.names import find_clashes
from dag.core.package.versions import key


class Choice(NamedTuple):
    """A provided name that more than one package provides."""

    name: str
    chosen: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NameTable:
    """Every name that the packages of a directory give."""

    nodes: dict[str, int]
    """Name → the number of the package that gives it."""
    providers: dict[str, str]
    """Provided name → the package or subpackage that provides it."""
    choices: tuple[Choice, ...]
    """The names that several provide, sorted."""


class _Provider(NamedTuple):
    node: int
    name: str
    priority: int
    version: str

    def rank(self) -> tuple[object, ...]:
        return (self.priority, key(self.version))


def make_name_table(packages: Sequence[Package]) -> NameTable:
    """Return the table of the names that `packages` give; their numbers are their places.

    A name that a package or subpackage has goes before the same name when it is provided. Of
    several that provide a name the one with the highest priority is chosen, then the one with the
    highest version, then the first by name. Of two packages of one name the higher version counts.
    """
    nodes = {package.name: number for number, package in enumerate(packages)}
    for number, package in enumerate(packages):
        for subpackage in package.subpackages:
            nodes[subpackage.name] = number
    for clash in find_clashes(packages):
        nodes[clash.name] = clash.counts.place
    providers: dict[str, str] = {}
    choices: list[Choice] = []
    for name, several in _find_providers(packages, nodes).items():
        best = several[0]
        if len(several) > 1:
            several.sort(key=lambda one: one.name)
            best = max(several, key=_Provider.rank)  # the first of equals
            others = tuple(one.name for one in several if one is not best)
            choices.append(Choice(name, best.name, others))
        providers[name] = best.name
        nodes[name] = best.node
    return NameTable(nodes, providers, tuple(sorted(choices)))


def _find_providers(
    packages: Sequence[Package], defined: dict[str, int]
) -> dict[str, list[_Provider]]:
    """Return who provides each name that is not `defined`."""
    providers: dict[str, list[_Provider]] = {}
    for number, package in enumerate(packages):
        parts: tuple[Package | Subpackage, ...] = (package, *package.subpackages)
        for one in parts:
            for text in one.provides:
                name = bare_name(text)
                if name not in defined and not name.startswith("!"):
                    _, equals, version = text.partition("=")
                    provider = _Provider(
                        number,
                        one.name,
                        one.provider_priority,
                        version.strip() if equals else package.full_version,
                    )
                    providers.setdefault(name, []).append(provider)
    return providers
