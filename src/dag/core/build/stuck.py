"""Cycles that nothing opens, in words of packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dag.core.graph import digraph, feedback
from dag.core.graph.draw import describe
from dag.core.graph.graph import Graph

_MANY = 5
"""How many cycles are told."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """Packages that need each other before any of them can be built."""

    packages: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]
    """Some of the shortest cycles: each package needs the next, and the last one the first. One that
    needs itself only through others is followed by these, which are needed at run time."""
    bootstrap: tuple[str, ...]
    """Packages that would leave no cycle if a repository had them."""
    needs: tuple[tuple[str, ...], ...] = ()
    """The needs of each of these cycles in words, one for each package that is built with a need."""
    openers: tuple[str, ...] = ()
    """The packages that the environments need of those of `bootstrap`, such as their subpackages."""


def report_stuck(edges: Mapping[int, Sequence[int]], names: Sequence[str]) -> Stuck:
    """Return the report of a component; its nodes below `len(names)` are packages, others gates.

    A report names packages only, so its ways lead through the gates.
    """
    nodes = sorted((node for node in edges if node < len(names)), key=names.__getitem__)
    numbers = {node: number for number, node in enumerate(nodes)}
    successors = [_packages_behind(node, edges, numbers) for node in nodes]
    everyone = list(range(len(nodes)))
    selfish = [node for node in everyone if node in successors[node]]
    others = [[t for t in targets if t != node] for node, targets in enumerate(successors)]
    cycles = [[node] for node in selfish[:_MANY]] or digraph.short_cycles(everyone, others, _MANY)
    bootstrap = sorted({*selfish, *feedback.nodes(everyone, others)})

    def names_of(found: Iterable[int]) -> tuple[str, ...]:
        return tuple(names[nodes[number]] for number in found)

    return Stuck(names_of(everyone), tuple(map(names_of, cycles)), names_of(bootstrap))


def _packages_behind(
    node: int, edges: Mapping[int, Sequence[int]], numbers: Mapping[int, int]
) -> list[int]:
    """Return the numbers of the packages that `node` needs, directly or through gates."""
    found: set[int] = set()
    stack = [target for target in edges[node] if target in edges]
    seen = set(stack)
    while stack:
        target = stack.pop()
        if target in numbers:
            found.add(numbers[target])
            continue
        for behind in edges[target]:
            if behind in edges and behind not in seen:
                seen.add(behind)
                stack.append(behind)
    return sorted(found)


def explained(graph: Graph, stuck: Stuck) -> Stuck:
    """Return it with the needs of its cycles, and with what a repository must have to open them."""
    needs = tuple(needs_of(graph, way) for way in stuck.cycles)
    cycles = tuple(_whole(graph, way) for way in stuck.cycles)
    return replace(stuck, cycles=cycles, needs=needs, openers=openers_of(graph, stuck))


def _whole(graph: Graph, cycle: tuple[str, ...]) -> tuple[str, ...]:
    """Return a cycle of one package with those through which it needs itself, any other as it is."""
    edge = graph.edge(cycle[0], cycle[0]) if len(cycle) == 1 else None
    if edge is None:
        return cycle
    makers = ((graph.origin(name), name) for name in edge.through[:-1])
    names = (name if maker is None else maker.name for maker, name in makers)
    return tuple(dict.fromkeys((*cycle, *names)))


def openers_of(graph: Graph, stuck: Stuck) -> tuple[str, ...]:
    """Return the packages that members of a cycle install of those that would open it, by name."""
    found: dict[str, set[str]] = {name: set() for name in stuck.bootstrap}
    for user in stuck.packages:
        direct = [edge for edge in graph.needs(user) if edge.origin in found]
        behind = (edge for name in found if (edge := graph.edge(user, name)))
        for edge in (*direct, *behind):
            # Where more comes with the need, it is the first of it that an environment names.
            first = edge.through[0] if edge.through else edge.provider or edge.need.name
            found[edge.origin].add(first)
    named = (one for name, several in found.items() for one in sorted(several or {name}))
    return tuple(dict.fromkeys(named))


def needs_of(graph: Graph, cycle: Sequence[str]) -> tuple[str, ...]:
    """Return in words why each package of a cycle needs the next, and the last one the first."""
    needs = []
    for user, needed in pairwise((*cycle, cycle[0])):
        edge = graph.edge(user, needed)
        needs.append(
            f"{user} needs {needed}, because a package in the store turned out to need it"
            if edge is None
            else describe(edge)
        )
    return tuple(needs)
