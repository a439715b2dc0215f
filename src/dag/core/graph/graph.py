"""Packages → graph: who needs whom to be built, in which order, and where that goes in circles.

A node is a definition. It needs every definition that makes a package of its build environment, as
apko would make that: what its needs stand for, and all that these packages need at run time. Cycles
are data: the edges that the order leaves out, and the components that these edges are in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise

from dag.core.graph import digraph, feedback
from dag.core.graph.edges import Component, Edge
from dag.core.graph.gates import Gates
from dag.core.graph.installs import Installs, Way
from dag.core.graph.names import Names
from dag.core.graph.stops import (
    BrokenNames,
    BrokenNeed,
    first_needs,
    refuse_needs,
    stopped_units,
)
from dag.core.graph.weights import UNSATISFIED, HeaviestWays
from dag.core.package.apkindex import PackageRepository
from dag.core.package.environments import Decisions
from dag.core.package.model import BrokenDefinition, Need, Package, bare_name
from dag.core.package.supply import Supply


class Graph:
    """The packages of a directory and their edges.

    apko chooses among them and what `repository` has (`-r`), or what that of `own` has which is for
    the very package. Edges to names that it has are the first to be dropped where there is a cycle.

    What needs a name that only a broken definition might give is *stopped*, and what needs that.
    """

    def __init__(
        self,
        packages: Iterable[Package],
        *,
        arch: str | None = None,
        repository: PackageRepository | None = None,
        own: Mapping[str, PackageRepository] | None = None,
        broken: Iterable[BrokenDefinition] = (),
        decided: Decisions | None = None,
    ) -> None:
        """Resolve every need; the order of the packages does not matter.

        No two of `packages` have one name. A definition that melange does not build for `arch`
        makes nothing. `decided` is what `Installs.decisions` returned for the very same.
        """
        self.packages: tuple[Package, ...] = tuple(sorted(packages, key=lambda one: one.name))
        listed = repository or PackageRepository()
        self.available = listed.names
        """The names that the repository has for whoever asks no other."""
        self.broken = BrokenNames(broken)
        self.installs = Installs(self.packages, arch, listed, own, decided)
        self._names = Names(self.installs, arch, self.broken)
        self._heaviest = HeaviestWays(self.installs)
        self._gates = Gates(self.installs)

    def __len__(self) -> int:
        return len(self.packages)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._names.find(name) is not None

    def origin(self, name: str) -> Package | None:
        """Return the package that gives `name`: it has, builds or provides it; None if none does."""
        node = self._names.find(bare_name(name))
        return None if node is None else self.packages[node]

    @property
    def names(self) -> Collection[str]:
        """Return every name that the packages have or provide."""
        return self._names.given

    def supply_of(self, package: str) -> Supply:
        """Return all packages that there are for the environment of a definition."""
        return self.installs.supply(self._names.number(package))

    def provider_for(self, package: str) -> Callable[[str], str | None]:
        """Return what tells the package of ours that a need of a definition installs, or None."""
        unit = self._names.number(package)

        def provider(text: str) -> str | None:
            number = None if text.startswith("!") else self.installs.choice(unit, text)
            if number is None or self.installs.owner(number) is None:
                return None
            return self.installs.candidates[number].name

        return provider

    @cached_property
    def externals(self) -> dict[str, list[str]]:
        """Return what must be found elsewhere → the packages that need it.

        A name that is defined here is among them with the constraint that nothing satisfies.
        """
        externals: dict[str, list[str]] = {}
        for unit, package in enumerate(self.packages):
            unsatisfied = self.installs.unsatisfied(unit)
            for need in package.environment if unsatisfied else ():
                if need[0] in unsatisfied and not self.broken_need(
                    package.name, self.installs.supply(unit), need
                ):
                    users = externals.setdefault(self._external(unit, need), [])
                    if package.name not in users[-1:]:
                        users.append(package.name)
        return externals

    def _external(self, unit: int, need: Need) -> str:
        universe, name = self.installs.supply(unit).resolver.universe, need.name
        return need.text if universe.is_known(name) else name

    def broken_need(self, package: str, supply: Supply, need: Need) -> BrokenNeed | None:
        """Return the need of a package if only a broken definition might give it.

        `supply` is what there is for the environment that has the need.
        """
        if need.name not in self.broken or not supply.is_unknown(need.text) or need.name in self:
            return None
        return self.broken.find(package, need, supply.available)

    @cached_property
    def broken_needs(self) -> dict[str, BrokenNeed]:
        """Return the packages whose environment needs what only a broken definition might give.

        Each has the first such need.
        """
        return first_needs(self.installs, self.broken_need) if self.broken else {}

    def missing(self, inside: Collection[str]) -> dict[str, list[str]]:
        """Return what some of `inside` need that neither the directory nor the repository has.

        The names are sorted, and each has the packages that need it.
        """
        found = {
            name: sorted({user for user in users if user in inside})
            for name, users in sorted(self.externals.items())
        }
        return {name: users for name, users in found.items() if users}

    # ---- edges --------------------------------------------------------------------------------

    def needs(self, name: str) -> list[Edge]:
        """Return every need of the definition `name` itself, external ones too, each once."""
        unit = self._names.number(name)
        edges: list[Edge] = []
        seen: set[tuple[str, str]] = set()
        for need in self.packages[unit].environment:
            if not need.text.startswith("!"):
                edge = self._edge(unit, need)
                if (need.name, edge.origin) not in seen:
                    seen.add((need.name, edge.origin))
                    edges.append(edge)
        return edges

    def runtime_needs(self, name: str) -> list[Edge]:
        """Return what a definition needs only because what its environment installs needs it."""
        unit = self._names.number(name)
        direct = {edge.origin for edge in self.needs(name)}
        edges = (
            self._edge_of(unit, target, way)
            for target, (_, way) in self._heaviest.ways(unit).items()
        )
        return [edge for edge in edges if edge.through and edge.origin not in direct]

    def _edge(self, unit: int, need: Need) -> Edge:
        number = self.installs.choice(unit, need.text)
        owner = None if number is None else self.installs.owner(number)
        if number is None or owner is None:
            name = self.packages[unit].name
            return Edge(name, self._external(unit, need), need, None, is_ours=False)
        return self._edge_of(unit, owner, Way(need, number, None))

    def needs_by_text(self, name: str) -> dict[str, str | None]:
        """Return the definition that gives each need of a package; None if nothing satisfies it.

        What is no definition's is left out.
        """
        found: dict[str, str | None] = {}
        unit = self._names.number(name)
        for need in self.packages[unit].environment:
            if not need.text.startswith("!"):
                number = self.installs.choice(unit, need.text)
                owner = None if number is None else self.installs.owner(number)
                if owner is not None:
                    found[need.text] = self.packages[owner].name
                elif number is None:
                    found[need.text] = None
        return found

    def installed(self, name: str) -> list[str] | None:
        """Return the other definitions whose packages the environment of a package installs.

        None if apko gives up.
        """
        unit = self._names.number(name)
        found = self.installs.installed(unit)
        if found is None:
            return None
        return [self.packages[one].name for one in sorted(found - {unit})]

    def settled(self, name: str) -> list[str]:
        """Return what the environment of a package installs, as needs that nothing else satisfies.

        There are none if that is what follows from its needs one by one.
        """
        candidates = self.installs.candidates
        targets = self.installs.targets[self._names.number(name)]
        installed = (candidates[~number] for number in targets if number < 0)
        return [f"{one.name}={one.version}" for one in installed]

    def edge(self, start: str, goal: str) -> Edge | None:
        """Return why the definition `start` needs `goal` itself; None if it does not."""
        unit, target = self._names.number(start), self._names.number(goal)
        found = self._heaviest.ways(unit).get(target)
        return None if found is None else self._edge_of(unit, target, found[1])

    def _edges_to(self, unit: int, targets: Iterable[int]) -> list[Edge]:
        """Return the edges from a definition to others that it needs, each the heaviest one."""
        ways = self._heaviest.ways(unit)
        return [self._edge_of(unit, target, ways[target][1]) for target in targets]

    def _edge_of(self, unit: int, target: int, way: Way) -> Edge:
        names = [self.installs.candidates[number].name for number in way.packages]
        return Edge(
            self.packages[unit].name,
            self.packages[target].name,
            way.need,
            None if names[0] == way.need.name else names[0],
            tuple(names) if len(names) > 1 else (),
        )

    # ---- order --------------------------------------------------------------------------------

    @cached_property
    def _dropped(self) -> frozenset[tuple[int, int]]:
        edges: list[tuple[int, int]] = []
        for members in self._gates.components:
            weights = {node: self._heaviest.weights(node) for node in members}
            edges += feedback.edges(
                members,
                self._gates.explicit,
                lambda a, b: weights[a].get(b, UNSATISFIED),  # noqa: B023
            )
        return frozenset(edges)

    @cached_property
    def _ordered(self) -> tuple[list[int], list[int]]:
        return self._gates.order(self._dropped)

    @cached_property
    def _edges_left_out(self) -> dict[int, list[Edge]]:
        """Return, by node, the needs that the order leaves out."""
        targets: dict[int, list[int]] = {}
        for node, target in sorted(self._dropped):
            targets.setdefault(node, []).append(target)
        return {node: self._edges_to(node, several) for node, several in targets.items()}

    @cached_property
    def dropped_edges(self) -> tuple[Edge, ...]:
        """Return the edges that the order leaves out, with self-loops: something must open these."""
        edges = [edge for several in self._edges_left_out.values() for edge in several]
        edges += self.self_loops()
        return tuple(sorted(edges, key=lambda edge: (edge.package, edge.origin)))

    @cached_property
    def dropped_pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the same edges as names only: from which package, to which definition."""
        pairs = [*self._dropped, *((node, node) for node in self._gates.selfish)]
        return tuple(sorted((self.packages[a].name, self.packages[b].name) for a, b in pairs))

    def level(self, name: str) -> int:
        """Return the length of the longest path from `name`, without the dropped edges."""
        return self._ordered[1][self._names.number(name)]

    def order(self, names: Iterable[str] | None = None) -> list[Package]:
        """Return the packages that `names` stand for, or all: dependencies first, else by name.

        Raises:
            UsageError: a name is not in the graph.

        """
        wanted = None if names is None else self._names.numbers(names)
        order = self._ordered[0]
        return [self.packages[node] for node in order if wanted is None or node in wanted]

    def closure(
        self, names: Iterable[str], there: Collection[str] = (), *, stopped_too: bool = False
    ) -> list[Package]:
        """Return the packages that `names` stand for and all that they need, dependencies first.

        Dropped edges count here, because their packages are needed all the same. Packages in
        `there` that `names` do not stand for are left out, and so is what only those need.

        Raises:
            UsageError: a name is not in the graph, or something is needed that only a broken
                definition might give (unless `stopped_too`).

        """
        asked = self._names.numbers(names)
        closed = self._names.numbers(there) - asked
        wanted = self._needed(asked, closed) if closed else self._gates.reachable(asked)
        found = [self.packages[node] for node in self._ordered[0] if node in wanted]
        if self.broken_needs and not stopped_too:
            refuse_needs(
                self.broken_needs[one.name] for one in found if one.name in self.broken_needs
            )
        return found

    def stopped(
        self, direct: Collection[str] | None = None, there: Collection[str] = ()
    ) -> frozenset[str]:
        """Return the packages that are stopped, because what they need cannot be built.

        `direct` are those that need such a thing themselves; by default those that need what only a
        broken definition might give. Packages in `there` need nothing, because they exist.
        """
        direct = self.broken_needs if direct is None else direct
        starts = self._names.numbers(name for name in direct if name not in there)
        if not starts:
            return frozenset()
        closed = self._names.numbers(there)
        found = (
            stopped_units(self.installs, starts, closed) if closed else self._gates.users(starts)
        )
        return frozenset(self.packages[node].name for node in found)

    def _needed(self, asked: set[int], closed: set[int]) -> set[int]:
        found = set(asked)
        stack = list(asked)
        while stack:
            for number in self.installs.walk(stack.pop(), closed):
                owner = self.installs.owner(number)
                if owner is not None and owner not in found:
                    found.add(owner)
                    stack.append(owner)
        return found

    def dependents(self, names: Iterable[str]) -> list[Package]:
        """Return the packages that `names` stand for and all that need them, dependencies first.

        Raises:
            UsageError: a name is not in the graph.

        """
        wanted = self._gates.users(self._names.numbers(names))
        return [self.packages[node] for node in self._ordered[0] if node in wanted]

    def path(self, start: str, *goals: str) -> list[Edge] | None:
        """Return a shortest chain of needs from `start` to one of `goals`, or None.

        From a package to itself it is a cycle.

        Raises:
            UsageError: a name is not in the graph.

        """
        way = self._gates.shortest_path(self._names.number(start), *self._names.numbers(goals))
        return None if way is None else self._edges(way)

    def _edges(self, way: Sequence[int]) -> list[Edge]:
        return [edge for a, b in pairwise(way) for edge in self._edges_to(a, [b])]

    def components(self, *, cycles: int = 5) -> list[Component]:
        """Return the components, the largest first, each with up to `cycles` short cycles."""
        found = [self._component(members, cycles) for members in self._gates.components]
        found.sort(key=lambda one: (-len(one.packages), one.packages[0].name))
        return found

    def _component(self, members: list[int], cycles: int) -> Component:
        explicit = self._gates.explicit
        short = digraph.short_cycles(members, explicit, cycles)
        had = {node for node in members if self.packages[node].name in self.available}
        return Component(
            packages=tuple(self.packages[node] for node in members),
            dropped=tuple(edge for node in members for edge in self._edges_left_out.get(node, ())),
            cycles=tuple(tuple(self._edges([*way, way[0]])) for way in short),
            bootstrap=tuple(
                self.packages[node].name for node in feedback.nodes(members, explicit, had)
            ),
        )

    def self_loops(self) -> list[Edge]:
        """Return the edges of packages that need themselves, or one of their own subpackages."""
        return [
            edge for node in sorted(self._gates.selfish) for edge in self._edges_to(node, [node])
        ]

    def edges(self) -> list[Edge]:
        """Return every need of every definition itself."""
        return [edge for package in self.packages for edge in self.needs(package.name)]
