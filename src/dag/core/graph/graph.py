"""Packages → graph: who needs whom to be built, in which order, and where that goes in circles.

A node is a definition; its subpackages and the names that it provides are names of the node. Cycles
are data: the edges that the order leaves out, and the components that these edges are in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from dag.core.graph import digraph, feedback
from dag.core.graph.asked import PathNames, plain_name
from dag.core.graph.names import make_name_table
from dag.core.graph.stops import BrokenNames, BrokenNeed, refuse_needs
from dag.core.package.model import BrokenDefinition, Need, Package, bare_name
from dag.errors import UsageError

# Where a cycle must be opened, the edges that the original program knew are kept rather than those
# that it did not, and an edge that a repository can satisfy is dropped before any other.
_WEIGHTS = {"environment": 60, "pipeline": 60, "nested pipeline": 6, "subpackage pipeline": 6}
_UNSATISFIED = 1000


class Edge(NamedTuple):
    """A dependency: `package` is built with `need`, and the build of `origin` gives that."""

    package: str
    origin: str
    """The definition that gives the need; the need's own name if nothing here gives it."""
    need: Need
    provider: str | None
    """The package or subpackage that provides the name, if no package is called that."""

    @property
    def where(self) -> str:
        """Return the place of the need as `FILE:LINE`."""
        return f"{self.need.file}:{self.need.line}"

    @property
    def reason_class(self) -> str:
        """Return the need's kind, or `provider` if the name is a provided one."""
        return "provider" if self.provider else self.need.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Packages that all need each other, or one that needs itself."""

    packages: tuple[Package, ...]
    dropped: tuple[Edge, ...]
    """The edges that the order leaves out."""
    cycles: tuple[tuple[Edge, ...], ...]
    """Some of the shortest cycles."""
    bootstrap: tuple[str, ...]
    """Packages that would leave no cycle if they came from elsewhere."""


class Graph:
    """The packages of a directory and their edges.

    `available` holds the names that a repository has (`-r`). They satisfy needs that are not
    defined here, and edges to them are the first to be dropped where there is a cycle.

    What needs a name that only a broken definition might give is *stopped*, and what needs that.
    """

    def __init__(
        self,
        packages: Iterable[Package],
        *,
        available: Collection[str] = (),
        broken: Iterable[BrokenDefinition] = (),
        arch: str = "",
    ) -> None:
        """Resolve every name; the order of the packages does not matter.

        No two of `packages` have one name. `arch` is melange's name of the architecture that they
        were resolved for; it is needed only to understand paths of built packages.
        """
        self.packages: tuple[Package, ...] = tuple(sorted(packages, key=lambda one: one.name))
        self.available = frozenset(available)
        table = make_name_table(self.packages)
        self.choices = table.choices
        self._nodes = table.nodes
        self._providers = table.providers
        self._own = {package.name: number for number, package in enumerate(self.packages)}
        self._arch = arch
        self.broken = BrokenNames(broken, self.available)
        self.broken_needs: dict[str, BrokenNeed] = {}
        """Packages that need a name that only a broken definition might give → the first such need."""
        self.externals: dict[str, list[str]] = {}
        """Names that nothing here gives → the packages that need them."""
        self._selfish: list[int] = []
        """The packages that need themselves."""
        self._needs = self._resolve_needs()
        self._users = digraph.reverse(self._needs)

    def _resolve_needs(self) -> list[list[int]]:
        find = self._nodes.get
        needs: list[list[int]] = []
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
            needs.append(sorted(targets))
        return needs

    def _target(self, need: Need, user: str) -> int | None:
        name = need.name
        target = self._nodes.get(name)
        if target is None:
            if self.broken and (broken := self.broken.find(user, need)):
                self.broken_needs.setdefault(user, broken)
                return None
            users = self.externals.setdefault(name, [])
            if user not in users[-1:]:
                users.append(user)
        return target

    def __len__(self) -> int:
        return len(self.packages)

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def origin(self, name: str) -> Package | None:
        """Return the package that gives `name`: it has, builds or provides it; None if none does."""
        node = self._nodes.get(bare_name(name))
        return None if node is None else self.packages[node]

    @property
    def names(self) -> Collection[str]:
        """Return every name that the packages have or provide."""
        return self._nodes.keys()

    def provider(self, name: str) -> str | None:
        """Return the package or subpackage that provides `name`, if none is called that."""
        return self._providers.get(name)

    def missing(self, inside: Collection[str]) -> dict[str, list[str]]:
        """Return what some of `inside` need that neither the directory nor `available` has.

        The names are sorted, and each has the packages that need it.
        """
        found = {
            name: sorted({user for user in users if user in inside})
            for name, users in sorted(self.externals.items())
            if name not in self.available
        }
        return {name: users for name, users in found.items() if users}

    def needs(self, name: str) -> list[Edge]:
        """Return every direct dependency of the package `name`: one edge a name, external ones too."""
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
        """Return the heaviest of the edges from `node` to `target`; the first one of equals."""
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
            node = self._own.get(name)
            if node is None:
                node = self._nodes.get(name, self._nodes.get(bare_name(name)))
            if node is None:
                node = self._paths.find(name)
            if node is None:
                unknown.append(name)
            else:
                found.add(node)
        if unknown:
            raise self._unknown(unknown)
        return found

    @cached_property
    def _paths(self) -> PathNames:
        return PathNames(self.packages, self._arch)

    def _unknown(self, names: Sequence[str]) -> UsageError:
        from difflib import get_close_matches

        if refusal := self.broken.refusal(names):
            return refusal
        hints: list[str] = []
        for name in names[:20]:
            if close := get_close_matches(plain_name(name), self._nodes, n=5):
                instead = f" instead of {name}" if len(names) > 1 else ""
                hints.append(f"did you mean {' or '.join(close)}{instead}?")
        # The words of the original program, which scripts may look for.
        lines = [f'package "{name}" not found in graph' for name in names]
        return UsageError("\n".join(lines), hint=" ".join(hints) or None)

    @cached_property
    def _cyclic_components(self) -> list[list[int]]:
        return digraph.components(self._needs)

    @cached_property
    def _dropped(self) -> frozenset[tuple[int, int]]:
        edges: list[tuple[int, int]] = []
        for members in self._cyclic_components:
            weights = {node: self._weights(node) for node in members}
            edges += feedback.edges(members, self._needs, lambda a, b: weights[a][b])  # noqa: B023
        return frozenset(edges)

    @cached_property
    def _ordered(self) -> tuple[list[int], list[int]]:
        return digraph.topological(self._needs, self._users, self._dropped)

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
        edges += [self._edge_between(node, node) for node in self._selfish]
        return tuple(sorted(edges, key=lambda edge: (edge.package, edge.origin)))

    def level(self, name: str) -> int:
        """Return the length of the longest path from `name`, without the dropped edges."""
        return self._ordered[1][self._number(name)]

    def order(self, names: Iterable[str] | None = None) -> list[Package]:
        """Return the packages that `names` stand for, or all: dependencies first, else by name.

        Raises:
            UsageError: a name is not in the graph.

        """
        wanted = None if names is None else self._numbers(names)
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
        wanted = digraph.reachable(self._needs, self._numbers(names), self._numbers(there))
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
        starts = self._numbers(name for name in direct if name not in there)
        if not starts:
            return frozenset()
        found = starts | digraph.reachable(self._users, starts, self._numbers(there))
        return frozenset(self.packages[node].name for node in found)

    def dependents(self, names: Iterable[str]) -> list[Package]:
        """Return the packages that `names` stand for and all that need them, dependencies first.

        Raises:
            UsageError: a name is not in the graph.

        """
        wanted = digraph.reachable(self._users, self._numbers(names))
        return [self.packages[node] for node in self._ordered[0] if node in wanted]

    def path(self, start: str, goal: str) -> list[Edge] | None:
        """Return a shortest chain of needs from `start` to `goal`, or None.

        From a package to itself it is a cycle.

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
        """Return the components, the largest first, each with up to `cycles` short cycles."""
        found = [self._component(members, cycles) for members in self._cyclic_components]
        found.sort(key=lambda one: (-len(one.packages), one.packages[0].name))
        return found

    def _component(self, members: list[int], cycles: int) -> Component:
        short = digraph.short_cycles(members, self._needs, cycles)
        had = {node for node in members if self.packages[node].name in self.available}
        return Component(
            packages=tuple(self.packages[node] for node in members),
            dropped=tuple(edge for node in members for edge in self._edges_left_out.get(node, ())),
            cycles=tuple(tuple(self._edges([*way, way[0]])) for way in short),
            bootstrap=tuple(
                self.packages[node].name for node in feedback.nodes(members, self._needs, had)
            ),
        )

    def self_loops(self) -> list[Edge]:
        """Return the edges of packages that need themselves, or one of their own subpackages."""
        return [self._edge_between(node, node) for node in self._selfish]

    def edges(self, select: Callable[[Package], bool] | None = None) -> list[Edge]:
        """Return every direct dependency of every package (that `select` takes)."""
        chosen = (one.name for one in self.packages if select is None or select(one))
        return [edge for name in chosen for edge in self.needs(name)]
