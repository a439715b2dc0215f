"""Cycles that nothing opens, in words of packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dag.core.graph import digraph, feedback

_MANY = 5
"""How many cycles are told."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """Packages that need each other before any of them can be built."""

    packages: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]
    """Some of the shortest cycles: each package needs the next, and the last one the first."""
    bootstrap: tuple[str, ...]
    """Packages that would leave no cycle if a repository had them."""
    needs: tuple[tuple[str, ...], ...] = ()
    """The needs of each of these cycles in words, one for each of its packages."""


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
