"""The order in which packages can be built, with cycles opened.

Names that need each other at run time are no problem: they become one gate, which opens when all of
them are built. A cycle that goes through a build is a problem: it can be opened only where a
repository has the package that closes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from heapq import heapify, heappop, heappush
from itertools import chain

from msgspec import Struct

from dag.core.build.needs import Needs
from dag.core.build.stuck import Stuck, report_stuck
from dag.core.graph import digraph
from dag.core.package.model import Package, bare_name


class Holder(StrEnum):
    """Who has what opens a cycle."""

    REPOSITORY = "repository"
    STORE = "store"


class Dropped(Struct, frozen=True, array_like=True):
    """A cycle that is opened: `package` is built with a `name` that is there before the build."""

    package: str
    name: str
    holder: Holder = Holder.REPOSITORY


Edges = dict[str, tuple[str, ...]]
"""Unit → the units that it needs."""


class BuildOrder(Struct, frozen=True, kw_only=True):
    """The order of a build, and what cannot be built."""

    units: Edges
    """The needs of each package that can be built; packages that are needed come first."""
    gates: Edges
    """The needs of each gate."""
    stuck: tuple[Stuck, ...]
    """The cycles that stay closed."""
    blocked: dict[str, str]
    """Packages that need a stuck one → the stuck one."""
    dropped: tuple[Dropped, ...]
    """The dependencies that are dropped to open cycles."""


def find_build_order(needs: Needs, built: Sequence[Package], *, follow: bool) -> BuildOrder:
    """Return the order in which to build `built`; cycles are opened where a repository allows it.

    Without `follow` only needs among `built` count, and no gates are made.
    """
    return _OrderFinder(needs, built, follow=follow).find()


class _OrderFinder:
    """A graph of builds (the nodes 0 … len(built)-1) and gates (the rest, one a group of names).

    Most names need no gate: one that needs nothing at run time is there as soon as it is built.
    """

    def __init__(self, needs: Needs, built: Sequence[Package], *, follow: bool) -> None:
        self.needs = needs
        self.elsewhere = needs.all_elsewhere()
        self.packages = built
        self.built = [package.name for package in built]
        self.builds = {name: node for node, name in enumerate(self.built)}
        self.environments = [self._ours(needs.environment(package)) for package in built]
        self.gates: list[list[int]] = []
        self.gate_of: dict[int, int] = {}
        self.successors: list[list[int]] = [[] for _ in self.built]
        self.soft: set[tuple[int, int]] = set()
        runtime = self._runtime_needs(follow=follow)
        self._make_gates(runtime)
        self._connect_gates(runtime)
        self._connect_builds()

    def _ours(self, numbers: list[int]) -> list[int]:
        if self.elsewhere.isdisjoint(numbers):
            return numbers
        return [number for number in numbers if number not in self.elsewhere]

    def _runtime_needs(self, *, follow: bool) -> dict[int, list[int]]:
        numbers: dict[int, list[int]] = {}
        stack = list({number for environment in self.environments for number in environment})
        while stack:
            number = stack.pop()
            if number not in numbers:
                needed = self._ours(self.needs.runtime(number)) if follow else []
                numbers[number] = needed
                stack += [one for one in needed if one not in numbers]
        return numbers

    def _make_gates(self, numbers: Mapping[int, Sequence[int]]) -> None:
        for number, targets in numbers.items():
            build = None if targets else self.builds.get(self.needs.origin(number).name)
            # A package that is built with itself keeps its gate, so that its cycle is found.
            if build is not None and number not in self.environments[build]:
                self.gate_of[number] = build
        dense = {
            number: index
            for index, number in enumerate(one for one in numbers if one not in self.gate_of)
        }
        successors = [[dense[t] for t in numbers[number] if t in dense] for number in dense]
        group = list(range(len(dense)))
        for members in digraph.components(successors):
            for member in members:
                group[member] = members[0]
        by_group: dict[int, list[int]] = {}
        for number, index in dense.items():
            by_group.setdefault(group[index], []).append(number)
        for members in by_group.values():
            node = len(self.built) + len(self.gates)
            self.gates.append(members)
            for member in members:
                self.gate_of[member] = node

    def _connect_gates(self, numbers: Mapping[int, Sequence[int]]) -> None:
        gate_of, builds = self.gate_of, self.builds
        for members in self.gates:
            targets: set[int] = set()
            for member in members:
                build = builds.get(self.needs.origin(member).name)
                if build is not None:
                    targets.add(build)
                targets.update([gate_of[needed] for needed in numbers[member]])
            targets.discard(gate_of[members[0]])
            self.successors.append(sorted(targets))

    def _connect_builds(self) -> None:
        gate_of = self.gate_of
        for node, environment in enumerate(self.environments):
            targets = set(map(gate_of.__getitem__, environment))
            self.successors[node] = sorted(targets)
            package = self.packages[node]
            if available := self.needs.available(package):
                hard = {
                    gate_of[number]
                    for number, text in self.needs.texts(package, environment)
                    if bare_name(text) not in available and self.needs.name(number) not in available
                }
                self.soft.update((node, gate) for gate in targets - hard)

    def find(self) -> BuildOrder:
        dropped: set[tuple[int, int]] = set()
        stuck: dict[int, int] = {}
        reports = []
        for members in digraph.components(self.successors):
            order = self._open(members)
            position = {node: place for place, node in enumerate(order)}
            if len(order) == len(members):
                dropped |= {
                    (node, target)
                    for node in members
                    for target in self.successors[node]
                    if (node, target) in self.soft and position.get(target, -1) > position[node]
                }
            else:
                for closed in self._closed_components(members):
                    reports.append(self._report(closed))
                    stuck |= self._find_first_units(closed)
        blocked = self._find_blocked(stuck)
        self._drop(dropped)
        units, gates = self._edges(stuck.keys() | blocked.keys())
        return BuildOrder(
            units=units,
            gates=gates,
            stuck=tuple(reports),
            blocked={
                self.built[node]: self.built[cause]
                for node, cause in sorted(blocked.items())
                if node < len(self.built)
            },
            dropped=self._dropped_names(dropped),
        )

    # ---- cycles -------------------------------------------------------------------------------

    def _open(self, members: Sequence[int]) -> list[int]:
        """Return a component ordered by its hard edges; the fewest open soft needs go first."""
        inside = set(members)
        hard = dict.fromkeys(members, 0)
        soft = dict.fromkeys(members, 0)
        users: dict[int, list[tuple[int, bool]]] = {node: [] for node in members}
        for node in members:
            for target in self.successors[node]:
                if target in inside:
                    is_soft = (node, target) in self.soft
                    (soft if is_soft else hard)[node] += 1
                    users[target].append((node, is_soft))
        heap = [(soft[node], node) for node in members if not hard[node]]
        heapify(heap)
        order: list[int] = []
        placed: set[int] = set()
        while heap:
            count, node = heappop(heap)
            if node in placed or count != soft[node]:
                continue
            placed.add(node)
            order.append(node)
            for user, is_soft in users[node]:
                (soft if is_soft else hard)[user] -= 1
                if not hard[user] and user not in placed:
                    heappush(heap, (soft[user], user))
        return order

    def _closed_components(self, members: Sequence[int]) -> list[list[int]]:
        """Return the components that stay if every edge is dropped that may be."""
        numbers = {node: index for index, node in enumerate(members)}
        hard = [
            [
                numbers[target]
                for target in self.successors[node]
                if target in numbers and (node, target) not in self.soft
            ]
            for node in members
        ]
        return [[members[index] for index in found] for found in digraph.components(hard)]

    def _find_first_units(self, closed: Sequence[int]) -> dict[int, int]:
        """Return, for each node of a closed component, the stuck unit that its users wait for.

        It is the node itself, or the nearest one behind a gate.
        """
        inside = set(closed)
        found: dict[int, int] = {}
        for node in closed:
            queue = [node]
            for one in queue:  # grows while it is walked
                if one < len(self.built):
                    found[node] = one
                    break
                queue += [t for t in self.successors[one] if t in inside and t not in queue]
        return found

    def _report(self, closed: Sequence[int]) -> Stuck:
        hard = {
            node: [target for target in self.successors[node] if (node, target) not in self.soft]
            for node in closed
        }
        return report_stuck(hard, self.built)

    def _find_blocked(self, stuck: Mapping[int, int]) -> dict[int, int]:
        blocked: dict[int, int] = {}
        if not stuck:
            return blocked
        users = digraph.reverse(self.successors)
        queue = list(stuck)
        for node in queue:  # grows while it is walked: who needs a stuck one directly comes first
            for user in users[node]:
                if user not in stuck and user not in blocked:
                    blocked[user] = blocked.get(node, stuck.get(node, node))
                    queue.append(user)
        return blocked

    def _drop(self, dropped: set[tuple[int, int]]) -> None:
        for node in {node for node, _ in dropped}:
            kept = [t for t in self.successors[node] if (node, t) not in dropped]
            self.successors[node] = kept

    def _dropped_names(self, dropped: set[tuple[int, int]]) -> tuple[Dropped, ...]:
        names = [
            Dropped(self.built[node], bare_name(text))
            for node, gate in dropped
            for number, text in self.needs.texts(self.packages[node], self.environments[node])
            if self.gate_of[number] == gate
        ]
        return tuple(sorted(names, key=lambda one: (one.package, one.name)))

    # ---- order --------------------------------------------------------------------------------

    def _edges(self, out: Collection[int]) -> tuple[Edges, Edges]:
        """Return what each unit and each gate needs; a gate with one need is replaced by that."""
        units: Edges = {}
        gates: Edges = {}
        short: dict[int, tuple[str, ...]] = {}
        count = len(self.built)
        for node, name in enumerate(self.built):
            short[node] = (name,)
        for node in self._in_order(out):
            targets = self.successors[node]
            if not targets or targets[-1] < count:  # they are sorted, so none of them is a gate
                needs = tuple(map(self.built.__getitem__, targets))
            else:
                found = map(short.__getitem__, targets)
                needs = tuple(dict.fromkeys(chain.from_iterable(found)))
            if node < count:
                units[self.built[node]] = needs
                continue
            if len(needs) > 1:
                key = f"@{min([self.needs.name(number) for number in self.gates[node - count]])}"
                if key in gates:  # of units that ask other repositories
                    key = f"{key}#{node - count}"
                gates[key] = needs
                needs = (key,)
            short[node] = needs
        return units, gates

    def _in_order(self, out: Collection[int]) -> list[int]:
        """Return the nodes that are not `out`, needs first, else in the given order."""
        users = digraph.reverse(self.successors)
        waiting = [len(targets) for targets in self.successors]
        ready = [node for node, count in enumerate(waiting) if not count and node not in out]
        heapify(ready)
        order = []
        while ready:
            node = heappop(ready)
            order.append(node)
            for user in users[node]:
                waiting[user] -= 1
                if not waiting[user] and user not in out:
                    heappush(ready, user)
        return order
