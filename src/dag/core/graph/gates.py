"""Units and what they install as one graph, whose size is in line with that of the needs.

A gate stands for a package that can be installed: it leads to the unit that makes the package, and
to the gates of what the package needs at run time. Packages that need each other at run time share
one, so that every cycle that is left goes through a unit: it needs itself to be built. A package
that needs nothing but its unit has that for a gate.

Only among the units of a cyclic component the edges are explicit, because some must be dropped.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain

from dag.core.graph import digraph
from dag.core.graph.installs import Installs


class Gates:
    """The graph of the units 0 … `count` - 1 and the gates behind them."""

    def __init__(self, installs: Installs) -> None:
        self.count = len(installs.packages)
        # Arrays, because millions of edges that lead to objects all over the memory take longer.
        gate_of = array("i", [-1]) * len(installs.candidates)
        for number, unit in installs.owners.items():
            gate_of[number] = unit
        behind: list[array[int]] = []
        for members in installs.components:
            targets = {gate_of[number] for number in members}
            for number in members:
                targets.update(map(gate_of.__getitem__, installs.runtime(number)))
            targets.discard(-1)
            gate = next(iter(targets), -1)
            if len(targets) > 1:
                gate = self.count + len(behind)
                behind.append(array("i", sorted(targets)))
            for number in members:
                gate_of[number] = gate
        self.selfish: set[int] = set()
        """The units that need themselves."""
        units = [self._unit(installs, unit, gate_of) for unit in range(self.count)]
        self.successors: Sequence[Sequence[int]] = [*units, *behind]
        self.explicit: list[list[int]] = [[] for _ in range(self.count)]
        """For the units of a cyclic component, the units of it that they need."""
        self.components: list[list[int]] = []
        """The units of each cyclic component."""
        self._rings: list[tuple[list[int], list[int]]] = []
        """The units and the gates of each component, also of those with one unit."""
        for members in digraph.components(self.successors):
            self._explain(members)

    def _unit(self, installs: Installs, unit: int, gate_of: Sequence[int]) -> array[int]:
        numbers = installs.targets[unit]
        if numbers and numbers[0] < 0:
            owners = (installs.owner(~number) for number in numbers)
            targets = {owner for owner in owners if owner is not None}
        else:
            targets = set(map(gate_of.__getitem__, numbers))
            targets.discard(-1)
        if unit in targets:
            self.selfish.add(unit)
            targets.discard(unit)
        return array("i", sorted(targets))

    def _explain(self, members: Sequence[int]) -> None:
        units = [node for node in members if node < self.count]
        inside = set(members)
        for unit in units:
            found = self._behind(unit, inside)
            if unit in found:
                self.selfish.add(unit)
                found.discard(unit)
            self.explicit[unit] = sorted(found)
        self._rings.append((units, [node for node in members if node >= self.count]))
        if len(units) > 1:
            self.components.append(units)

    def _behind(self, unit: int, inside: set[int]) -> set[int]:
        """Return the units `inside` that a unit needs directly or through gates."""
        found: set[int] = set()
        seen: set[int] = set()
        stack = [unit]
        while stack:
            for target in self.successors[stack.pop()]:
                if target in inside and target not in seen:
                    seen.add(target)
                    if target < self.count:
                        found.add(target)
                    else:
                        stack.append(target)
        return found

    def order(self, dropped: frozenset[tuple[int, int]]) -> tuple[list[int], list[int]]:
        """Return the units, those that are needed first, and the level of each.

        `dropped` are the explicit edges that do not count. In a component, the others count, and
        what is needed outside of it: for that each of its gates has a copy that leads outside only.
        """
        successors = list(self.successors)
        for units, gates in self._rings:
            inside = {*units, *gates}
            copies = {gate: len(successors) + place for place, gate in enumerate(gates)}
            for node in chain(gates, units):
                targets = [t for t in self.successors[node] if t not in inside]
                targets += [copies[t] for t in self.successors[node] if t in copies]
                if node in copies:
                    successors.append(targets)
                else:
                    kept = (t for t in self.explicit[node] if (node, t) not in dropped)
                    successors[node] = [*targets, *kept]
        return digraph.topological(successors, counted=self.count)

    def reachable(self, units: Iterable[int]) -> set[int]:
        """Return all units that some need, themselves included."""
        found = digraph.reachable(self.successors, units)
        return {node for node in found if node < self.count}

    def users(self, units: Iterable[int]) -> set[int]:
        """Return all units that need some, themselves included."""
        found = digraph.reachable(digraph.reverse(self.successors), units)
        return {node for node in found if node < self.count}

    def shortest_path(self, start: int, *goals: int) -> list[int] | None:
        """Return the units of a shortest way to one of `goals`, or None; a cycle if that is `start`."""
        if start in goals and start in self.selfish:
            return [start, start]
        came: dict[int, int] = {}
        gates: set[int] = set()
        wanted = frozenset(goals)
        queue = [start]
        for unit in queue:  # grows while it is walked
            stack = [unit]
            while stack:
                for target in self.successors[stack.pop()]:
                    if target in wanted:
                        return _way(came, start, unit, target)
                    if target >= self.count:
                        if target not in gates:
                            gates.add(target)
                            stack.append(target)
                    elif target not in came and target != start:
                        came[target] = unit
                        queue.append(target)
        return None


def _way(came: dict[int, int], start: int, last: int, goal: int) -> list[int]:
    way = [goal, last]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]
