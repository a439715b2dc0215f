"""What the environments of real definitions have that is not built, and who stands for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from dag.core.graph.graph import Graph
from dag.core.package import constraints
from dag.core.package.apkindex import IndexEntry, PackageRepository
from dag.core.package.model import Package, bare_name
from tests.real import apt
from tests.real.convert import ARCH
from tests.real.names import find

LOWEST = "0-r0"
"""The version of what stands in for a definition until that is built."""


@dataclass(frozen=True, kw_only=True)
class Outside:
    """A package that is not built but comes from Debian, with its subpackages."""

    name: str
    version: str
    packages: dict[str, tuple[str, ...]]
    """By its own name and those of its subpackages, the packages of Debian that stand for it."""
    provides: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By the same names, what else each provides."""


def find_outside(
    definitions: Sequence[Package], wanted: Iterable[str]
) -> tuple[list[Outside], list[str]]:
    """Return what the environments of the definitions `wanted` have that is not built.

    What is built, and cannot be built without itself, is also there, in a version that is lower. With
    it comes, in words, what nobody has of all that, and of what is `wanted`.
    """
    wanted = {*wanted}
    graph = Graph(definitions, arch=ARCH)
    undefined = sorted(wanted.difference(graph.names))
    lacking = [f"there are no definitions for: {', '.join(undefined)}"] if undefined else []
    built = wanted.intersection(graph.names)
    others = _undefined(graph, built)
    listed = PackageRepository(
        [IndexEntry(name, version, name, (), ()) for name, version in others]
    )
    # What is not built is offered without what its definition needs at run time.
    thin = [one if one.name in built else _without_needs(one) for one in definitions]
    lacking += _refusals(Graph(definitions, arch=ARCH, repository=listed), built)
    itself = _installed(Graph(thin, arch=ARCH, repository=listed), built)
    installed = itself | _installed(Graph(definitions, arch=ARCH, repository=listed), built)
    first = _in_cycles(Graph(thin, arch=ARCH, repository=listed), built)
    defined = [one for one in graph.packages if one.name in (installed - built) | first]
    known = apt.known_packages()
    asked = {*(name for name, _ in others), *(itself - built), *first}
    if unknown := sorted(name for name in asked if find(name, known) is None):
        told = "neither Debian nor tests/real/names.py has packages for"
        lacking.append(f"{told}: {', '.join(unknown)}")
    outside = [
        Outside(
            name=one.name,
            version=LOWEST if one.name in first else one.full_version,
            packages={
                name: find(name, known) or find(one.name, known) or () for name in one.promised
            },
            provides={output.name: output.provides for output in one.outputs},
        )
        for one in defined
    ]
    outside += [
        Outside(name=name, version=version, packages={name: find(name, known) or ()})
        for name, version in others
    ]
    return sorted(outside, key=lambda one: (one.name, one.version)), lacking


def _undefined(graph: Graph, built: Collection[str]) -> set[tuple[str, str]]:
    """Return what is needed by what is `built`, and no definition gives: names, each with a version."""
    found = set()
    for unit, one in enumerate(graph.packages):
        if one.name in built:
            needs = {need.text for need in one.environment}.union(*(o.runtime for o in one.outputs))
            for need in needs:
                choice = graph.installs.choice(unit, need)
                if need[:1] != "!" and (choice is None or graph.installs.is_external(choice)):
                    found.add((bare_name(need), _version_for(need)))
    return found


def _version_for(need: str) -> str:
    """Return a version that satisfies a need: a low one, the one that is written, or a high one."""
    constraint = constraints.parse(need)
    wanted = constraints.version(constraint.version)
    satisfies = constraints.SATISFIES[constraint.operator]
    for tried in ("1-r0", f"{constraint.version}-r0", constraint.version):
        actual = constraints.version(tried)
        if wanted is None or (actual is not None and satisfies(actual, wanted)):
            return tried
    return "9999-r0"


def _without_needs(package: Package) -> Package:
    """Return a definition whose packages need nothing at run time."""
    subpackages = tuple(one._replace(runtime=()) for one in package.subpackages)
    return replace(package, runtime=(), subpackages=subpackages)


def _in_cycles(graph: Graph, built: Collection[str]) -> set[str]:
    """Return those of the definitions `built` that need each other, or themselves."""
    several = (one.name for component in graph.components() for one in component.packages)
    return {*several, *(edge.package for edge in graph.self_loops())}.intersection(built)


def _installed(graph: Graph, built: Collection[str]) -> set[str]:
    """Return the definitions whose packages are in the environments of those that are `built`."""
    return {one for name in built for one in graph.installed(name) or ()}


def _refusals(graph: Graph, built: Collection[str]) -> list[str]:
    """Return in words which environments apko does not install, and why."""
    found = []
    for unit, one in enumerate(graph.packages):
        refusal = graph.installs.refusal(unit) if one.name in built else None
        if refusal is not None:
            found.append(f"apko cannot install what {one.name} is built with: {refusal.message}")
    return found
