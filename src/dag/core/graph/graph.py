"""Packages → graph: who needs whom to be built, in which order, and where that goes in circles.

A node is a definition; its subpackages and what it provides are names for it. Cycles are data: the
edges that the order leaves out, and the components that they are in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from dag.core.graph import digraph, feedback
from dag.core.package.model import Need, Package, Subpackage, bare_name
from dag.core.package.names import FIX, clashes
from dag.core.package.versions import key
from dag.errors import UsageError

# Where a cycle must be opened, the edges that the original had are kept before those that it left
# out, and an edge that a repository can satisfy is dropped before any other.
_WEIGHTS = {"environment": 60, "pipeline": 60, "nested pipeline": 6, "subpackage pipeline": 6}
_UNSATISFIED = 1000


class Edge(NamedTuple):
    """`package` is built with `need`, which `origin` is built to give."""

    package: str
    origin: str
    """The definition that gives it; the name itself if it is external."""
    need: Need
    provider: str | None
    """The package or subpackage that provides the name, if no package is called that."""

    @property
    def where(self) -> str:
        """`FILE:LINE`."""
        return f"{self.need.file}:{self.need.line}"

    @property
    def reason_class(self) -> str:
        """`environment`, `pipeline`, `nested pipeline`, `subpackage pipeline` or `provider`."""
        return "provider" if self.provider else self.need.kind


class Choice(NamedTuple):
    """A provided name that more than one package provides."""

    name: str
    chosen: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Packages that all need each other, or one that needs itself."""

    packages: tuple[Package, ...]
    dropped: tuple[Edge, ...]
    """The edges that the order leaves out."""
    cycles: tuple[tuple[Edge, ...], ...]
    """Some of the shortest cycles."""
    bootstrap: tuple[str, ...]
    """If these came from elsewhere, there would be no cycle."""


class _Provider(NamedTuple):
    node: int
    name: str
    priority: int
    version: str

    def rank(self) -> tuple[object, ...]:
        return (self.priority, key(self.version))


class Graph:
    """The packages of a directory and their edges.

    `available` holds the names that a repository has (`-r`): they satisfy what is not defined here,
    and edges to them are the first to be dropped where there is a cycle.
    """

    def __init__(self, packages: Iterable[Package], *, available: Collection[str] = ()) -> None:
        """Resolve every name; file order plays no part.

        Raises:
            UsageError: two packages or subpackages have one name.

        """
        self.packages: tuple[Package, ...] = tuple(sorted(packages, key=lambda one: one.name))
        self.available = frozenset(available)
        self.choices: list[Choice] = []
        self._nodes = self._defined()
        self._defined_names = frozenset(self._nodes)
        self._providers: dict[str, str] = {}
        self._provide()
        self.externals: dict[str, list[str]] = {}
        self._selfish: list[int] = []
        self._needs = self._connected()
        self._users = digraph.reverse(self._needs)

    def _defined(self) -> dict[str, int]:
        found = clashes(self.packages)
        if found:
            lines = [f"{file}:{line}: {what}" for file, line, what in found]
            raise UsageError("\n".join(lines), hint=FIX)
        nodes = {package.name: number for number, package in enumerate(self.packages)}
        for number, package in enumerate(self.packages):
            for subpackage in package.subpackages:
                nodes[subpackage.name] = number
        return nodes

    def _provide(self) -> None:
        providers: dict[str, list[_Provider]] = {}
        for number, package in enumerate(self.packages):
            parts: tuple[Package | Subpackage, ...] = (package, *package.subpackages)
            for one in parts:
                for text in one.provides:
                    name = bare_name(text)
                    if name not in self._defined_names and not name.startswith("!"):
                        _, equals, version = text.partition("=")
                        rank = _Provider(
                            number,
                            one.name,
                            one.provider_priority,
                            version.strip() if equals else package.full_version,
                        )
                        providers.setdefault(name, []).append(rank)
        for name, several in providers.items():
            best = several[0]
            if len(several) > 1:
                several.sort(key=lambda one: one.name)
                best = max(several, key=_Provider.rank)  # the first of equals
                others = tuple(one.name for one in several if one is not best)
                self.choices.append(Choice(name, best.name, others))
            self._nodes[name] = best.node
            self._providers[name] = best.name
        self.choices.sort()

    def _connected(self) -> list[list[int]]:
        find = self._nodes.get
        connected: list[list[int]] = []
        for number, package in enumerate(self.packages):
            found = {find(text) for text, _, _, _ in package.environment}
            if None in found:  # a constraint, a conflict, or something external
                found = {
                    self._target(need, package.name)
                    for need in package.environment
                    if not need.text.startswith("!")
                }
            targets = {target for target in found if target is not None}
            if number in targets:
                targets.discard(number)
                self._selfish.append(number)
            connected.append(sorted(targets))
        return connected

    def _target(self, need: Need, user: str) -> int | None:
        name = need.name
        target = self._nodes.get(name)
        if target is None:
            users = self.externals.setdefault(name, [])
            if user not in users[-1:]:
                users.append(user)
        return target

    def __len__(self) -> int:
        return len(self.packages)

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def origin(self, name: str) -> Package | None:
        """The package that gives `name`: its own, a subpackage's, or a provided one."""
        node = self._nodes.get(bare_name(name))
        return None if node is None else self.packages[node]

    def provider(self, name: str) -> str | None:
        """The package or subpackage that provides `name`, if none is called that."""
        return self._providers.get(name)

    def missing(self, inside: Collection[str]) -> dict[str, list[str]]:
        """Find what some of `inside` need that neither the directory nor `available` has.

        Names, sorted, each with the packages that need it.
        """
        found = {
            name: sorted({user for user in users if user in inside})
            for name, users in sorted(self.externals.items())
            if name not in self.available
        }
        return {name: users for name, users in found.items() if users}

    def needs(self, name: str) -> list[Edge]:
        """Every direct dependency of the package `name`, one edge a name, external ones too."""
        number = self._number(name)
        edges: list[Edge] = []
        seen: set[str] = set()
        for need in self.packages[number].environment:
            wanted = need.name
            if wanted not in seen and not wanted.startswith("!"):
                seen.add(wanted)
                edges.append(self._edge(number, need))
        return edges

    def _edge(self, number: int, need: Need) -> Edge:
        name = need.name
        target = self._nodes.get(name)
        origin = name if target is None else self.packages[target].name
        return Edge(self.packages[number].name, origin, need, self._providers.get(name))

    def _edge_between(self, node: int, target: int) -> Edge:
        """The first need of `node` that `target` gives; one that a cycle is least to be opened at."""
        return self._edges_to(node, [target])[0]

    def _edges_to(self, node: int, targets: Sequence[int]) -> list[Edge]:
        wanted = set(targets)
        best: dict[int, tuple[int, Need]] = {}
        for need in self.packages[node].environment:
            target = self._nodes.get(need.name)
            if target in wanted:
                weight = self._weight(need)
                if target not in best or weight > best[target][0]:
                    best[target] = (weight, need)
        return [self._edge(node, best[target][1]) for target in targets]

    def _weight(self, need: Need) -> int:
        name = need.name
        weight = 1 if name in self._providers else _WEIGHTS.get(need.kind, 60)
        return weight if name in self.available else weight * _UNSATISFIED

    def _weights(self, node: int) -> dict[int, int]:
        weights: dict[int, int] = {}
        for need in self.packages[node].environment:
            target = self._nodes.get(need.name)
            if target is not None:
                weights[target] = max(weights.get(target, 0), self._weight(need))
        return weights

    def _number(self, name: str) -> int:
        (node,) = self._numbers([name])
        return node

    def _numbers(self, names: Iterable[str]) -> set[int]:
        found: set[int] = set()
        unknown: list[str] = []
        for name in names:
            node = self._nodes.get(name)
            if node is None:
                node = self._nodes.get(bare_name(name))
            if node is None:
                unknown.append(name)
            else:
                found.add(node)
        if unknown:
            raise self._unknown(unknown)
        return found

    def _unknown(self, names: Sequence[str]) -> UsageError:
        from difflib import get_close_matches

        hints: list[str] = []
        for name in names[:20]:
            if close := get_close_matches(name, self._nodes, n=5):
                what = name if len(names) > 1 else "it"
                hints.append(f"close to {what}: {', '.join(close)}")
        lines = [f'package "{name}" not found in graph' for name in names]
        return UsageError("\n".join(lines), hint="; ".join(hints) or None)

    @cached_property
    def _circles(self) -> list[list[int]]:
        return digraph.components(self._needs)

    @cached_property
    def _dropped(self) -> frozenset[tuple[int, int]]:
        edges: list[tuple[int, int]] = []
        for members in self._circles:
            weights = {node: self._weights(node) for node in members}
            edges += feedback.edges(members, self._needs, lambda a, b: weights[a][b])  # noqa: B023
        return frozenset(edges)

    @cached_property
    def _ordered(self) -> tuple[list[int], list[int]]:
        return digraph.topological(self._needs, self._users, self._dropped)

    @cached_property
    def _opened(self) -> dict[int, list[Edge]]:
        """Node → its needs that the order leaves out."""
        targets: dict[int, list[int]] = {}
        for node, target in sorted(self._dropped):
            targets.setdefault(node, []).append(target)
        return {node: self._edges_to(node, several) for node, several in targets.items()}

    @cached_property
    def dropped(self) -> tuple[Edge, ...]:
        """The edges that the order leaves out, self-loops included: these must be bootstrapped."""
        edges = [edge for several in self._opened.values() for edge in several]
        edges += [self._edge_between(node, node) for node in self._selfish]
        return tuple(sorted(edges, key=lambda edge: (edge.package, edge.origin)))

    def level(self, name: str) -> int:
        """The length of the longest path from `name`, dropped edges left out."""
        return self._ordered[1][self._number(name)]

    def order(self, names: Iterable[str] | None = None) -> list[Package]:
        """The packages that `names` stand for, or all: dependencies first, ties by name.

        Raises:
            UsageError: a name is not in the graph.

        """
        wanted = None if names is None else self._numbers(names)
        order = self._ordered[0]
        return [self.packages[node] for node in order if wanted is None or node in wanted]

    def closure(self, names: Iterable[str], there: Collection[str] = ()) -> list[Package]:
        """The packages that `names` stand for and all that they need, dependencies first.

        Dropped edges count here: what must be bootstrapped is needed all the same. Packages in
        `there` that `names` don't stand for are left out, and so is what only those need.

        Raises:
            UsageError: a name is not in the graph.

        """
        wanted = digraph.reachable(self._needs, self._numbers(names), self._numbers(there))
        return [self.packages[node] for node in self._ordered[0] if node in wanted]

    def dependents(self, names: Iterable[str]) -> list[Package]:
        """The packages that `names` stand for and all that need them, dependencies first.

        Raises:
            UsageError: a name is not in the graph.

        """
        wanted = digraph.reachable(self._users, self._numbers(names))
        return [self.packages[node] for node in self._ordered[0] if node in wanted]

    def path(self, start: str, goal: str) -> list[Edge] | None:
        """A shortest chain of needs from `start` to `goal`, or None.

        From a package to itself, it is a cycle.

        Raises:
            UsageError: a name is not in the graph.

        """
        first, last = self._number(start), self._number(goal)
        if first == last and first in self._selfish:
            return [self._edge_between(first, first)]
        way = digraph.shortest_path(self._needs, first, last)
        return None if way is None else self._edges(way)

    def _edges(self, way: Sequence[int]) -> list[Edge]:
        return [self._edge_between(a, b) for a, b in pairwise(way)]

    def components(self, *, cycles: int = 5) -> list[Component]:
        """The components that are cycles, the largest first, each with up to `cycles` short ones."""
        found = [self._component(members, cycles) for members in self._circles]
        found.sort(key=lambda one: (-len(one.packages), one.packages[0].name))
        return found

    def _component(self, members: list[int], cycles: int) -> Component:
        short = digraph.short_cycles(members, self._needs, cycles)
        had = {node for node in members if self.packages[node].name in self.available}
        return Component(
            packages=tuple(self.packages[node] for node in members),
            dropped=tuple(edge for node in members for edge in self._opened.get(node, ())),
            cycles=tuple(tuple(self._edges([*way, way[0]])) for way in short),
            bootstrap=tuple(
                self.packages[node].name for node in feedback.nodes(members, self._needs, had)
            ),
        )

    def self_loops(self) -> list[Edge]:
        """The packages that need themselves, or one of their own subpackages."""
        return [self._edge_between(node, node) for node in self._selfish]

    def edges(self, select: Callable[[Package], bool] | None = None) -> list[Edge]:
        """Every direct dependency of every package (that `select` takes)."""
        chosen = (one.name for one in self.packages if select is None or select(one))
        return [edge for name in chosen for edge in self.needs(name)]
