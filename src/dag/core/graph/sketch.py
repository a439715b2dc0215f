"""A part of the graph as a picture has it: names and lines between them, which can be made fewer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter

from msgspec import Struct

from dag.core.graph import digraph
from dag.core.graph.graph import Graph
from dag.core.package.model import Package


class Line(Struct, frozen=True):
    """A package needs another one, however often."""

    start: str
    goal: str
    at_run_time: bool = False
    """Whether only what is installed needs it, at run time."""
    dropped: bool = False
    """Whether the order leaves it out, because it closes a cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """Packages and the lines between them, both sorted by name."""

    packages: tuple[Package, ...]
    externals: tuple[str, ...]
    """What they need and no definition gives."""
    lines: tuple[Line, ...]

    def needs(self) -> dict[str, list[str]]:
        """Return, for every name that is in it, the names that it needs."""
        found: dict[str, list[str]] = {one.name: [] for one in self.packages}
        found |= {name: [] for name in self.externals}
        for line in self.lines:
            found[line.start].append(line.goal)
        return found

    def among(self, names: Collection[str]) -> Sketch:
        """Return what is left if there are only these names."""
        return Sketch(
            packages=tuple(one for one in self.packages if one.name in names),
            externals=tuple(name for name in self.externals if name in names),
            lines=tuple(one for one in self.lines if one.start in names and one.goal in names),
        )


def make_sketch(graph: Graph, packages: Iterable[Package]) -> Sketch:
    """Return the lines among `packages` and to names that no definition gives."""
    chosen = sorted(packages, key=lambda one: one.name)
    inside = {one.name for one in chosen}
    defined = {one.name for one in graph.packages}
    dropped = set(graph.dropped_pairs)
    externals: set[str] = set()
    lines: list[Line] = []
    for package in chosen:
        seen: set[str] = set()
        needs = [*graph.needs(package.name), *graph.runtime_needs(package.name)]
        for edge in sorted(needs, key=lambda edge: edge.origin):
            goal = edge.origin
            if not edge.is_ours and goal in defined:
                goal = f"{goal} (from a repository)"  # it is not what the definition gives
            if goal in seen:
                continue
            seen.add(goal)
            if not edge.is_ours:
                externals.add(goal)
            elif goal not in inside:
                continue
            is_dropped = (package.name, goal) in dropped
            lines.append(Line(package.name, goal, bool(edge.through), is_dropped))
    return Sketch(packages=tuple(chosen), externals=tuple(sorted(externals)), lines=tuple(lines))


def nearest(sketch: Sketch, starts: Iterable[str], depth: int, *, dependents: bool) -> Sketch:
    """Return what is at most so many lines away from `starts`: what they need, or what needs them."""
    ways = sketch.needs()
    if dependents:
        ways = {name: [] for name in ways}
        for line in sketch.lines:
            ways[line.goal].append(line.start)
    found = [name for name in dict.fromkeys(starts) if name in ways]
    seen = set(found)
    for _ in range(depth):
        found = list(
            dict.fromkeys(goal for name in found for goal in ways[name] if goal not in seen)
        )
        if not found:
            break
        seen.update(found)
    return sketch.among(seen)


def reduced(sketch: Sketch) -> Sketch:
    """Return it without the lines that follow from others: a → c, where there are a → b and b → c.

    Lines within a cycle stay. This is the transitive reduction of what is left if each strongly
    connected component counts as one: https://doi.org/10.1137/0201008. It takes a bit for each pair
    of components.
    """
    needs = sketch.needs()
    names = list(needs)
    number = {name: place for place, name in enumerate(names)}
    successors = [sorted({number[goal] for goal in needs[name]}) for name in names]
    component = list(range(len(names)))
    for members in digraph.components(successors):
        for member in members:
            component[member] = members[0]
    direct: dict[int, set[int]] = {one: set() for one in component}
    for node, goals in enumerate(successors):
        direct[component[node]].update(component[goal] for goal in goals)
        direct[component[node]].discard(component[node])
    behind = _behind_others(direct)

    def follows(line: Line) -> bool:
        start, goal = component[number[line.start]], component[number[line.goal]]
        return start != goal and bool(behind[start] >> goal & 1)

    return replace(sketch, lines=tuple(line for line in sketch.lines if not follows(line)))


def _behind_others(successors: Mapping[int, Collection[int]]) -> dict[int, int]:
    """Return, for each node of a graph without cycles, a bit for all that its successors lead to."""
    reachable: dict[int, int] = {}
    behind: dict[int, int] = {}
    for node in TopologicalSorter(successors).static_order():
        direct = bits = 0
        for goal in successors[node]:
            direct |= 1 << goal
            bits |= reachable[goal]
        reachable[node], behind[node] = direct | bits, bits
    return behind
