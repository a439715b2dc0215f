"""The needs of a build: what must be there before a package can be built.

To *build* a package, each package of its environment must be *installable*. For a package to be
installable, its origin must be built, and what it needs at run time must be installable. Which
packages these are is what the graph says, and what packages in the store turned out to need.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from dag.core.graph.graph import Graph
from dag.core.package.model import Package
from dag.core.package.supply import Supply


class Needs:
    """The edges between builds and packages, which are found when somebody asks for them.

    A number stands for a package of ours that can be installed, as in `dag.core.graph.installs`;
    `~` of it for the package without what it needs at run time.
    """

    def __init__(
        self,
        graph: Graph,
        depends: Callable[[str, Package], Iterable[str]],
        is_elsewhere: Callable[[Package], bool],
        available: frozenset[str] = frozenset(),
        held: Mapping[str, Iterable[str]] = MappingProxyType({}),
    ) -> None:
        """Take the graph, and what is known besides.

        `depends(name, package)` returns more run-time needs of a package that the store has;
        `is_elsewhere(package)` says whether nothing of ours follows from a need of that package.
        `available` are names that every environment can have from a repository, and `held` those
        that the build of a package can have as the store has them before.
        """
        self._graph = graph
        self._installs = graph.installs
        self._depends = depends
        self._is_elsewhere = is_elsewhere
        self._available = available
        self._held = held
        self._unions: dict[frozenset[str], frozenset[str]] = {}
        self._units = {package.name: unit for unit, package in enumerate(graph.packages)}
        self._environments: dict[str, list[int]] = {}

    def name(self, number: int) -> str:
        """Return the name of the package with this number."""
        return self._installs.candidates[max(number, ~number)].name

    def origin(self, number: int) -> Package:
        """Return the definition that makes the package with this number."""
        owner = self._installs.owner(max(number, ~number))
        if owner is None:
            raise ValueError(f"{self.name(number)} is not a package of a definition")
        return self._graph.packages[owner]

    def supply(self, number: int) -> Supply:
        """Return what there is for the environments that have the package with this number."""
        return self._installs.supply_with(max(number, ~number))

    def available(self, package: Package) -> frozenset[str]:
        """Return the names that the build of a package can have from what is there before."""
        own = self._installs.supply(self._units[package.name]).available
        found = self._unions.get(own)
        if found is None:
            found = self._unions[own] = self._available | own
        return found.union(self._held[package.name]) if package.name in self._held else found

    def environment(self, package: Package) -> list[int]:
        """Return the packages that the build of `package` installs, each once.

        What these need at run time is among them only where it is not what follows from them.
        """
        found = self._environments.get(package.name)
        if found is None:
            found = self._ours(self._installs.targets[self._units[package.name]])
            self._environments[package.name] = found
        return found

    def texts(self, package: Package, numbers: Collection[int]) -> list[tuple[int, str]]:
        """Return the texts by which `package` asks for the packages with these numbers.

        A package that it does not ask for itself has its own name as text.
        """
        wanted = dict.fromkeys(numbers)
        unit = self._units[package.name]
        asked: list[tuple[int, str]] = []
        for need in package.environment:
            choice = self._choice(unit, need.text)
            for number in self._ours([] if choice is None else [choice]):
                found = number if number in wanted else ~number
                if found in wanted:
                    text = need.text if number == choice else self.name(number)
                    asked.append((found, text))
        there = {number for number, _ in asked}
        return [*asked, *((one, self.name(one)) for one in wanted if one not in there)]

    def _choice(self, unit: int, text: str) -> int | None:
        return None if text.startswith("!") else self._installs.choice(unit, text)

    def runtime(self, number: int) -> list[int]:
        """Return the packages that the package with this number needs at run time."""
        needed = [] if number < 0 else list(self._installs.runtime(number))
        for text in self._depends(self.name(number), self.origin(number)):
            preferences = self.supply(number).resolver.preferences
            choice = None if text.startswith("!") else preferences.choice(text)
            if choice is not None:
                needed.append(choice)
        return self._ours(needed)

    def runtime_texts(self, number: int) -> list[str]:
        """Return what the package with this number needs at run time, as it is written."""
        written = self._installs.candidates[max(number, ~number)].depends
        return [*written, *self._depends(self.name(number), self.origin(number))]

    def _ours(self, numbers: Sequence[int]) -> list[int]:
        """Return the packages of ours among these, or that others among these need at run time."""
        found = dict.fromkeys(numbers)
        if self._installs.owners.keys() >= found.keys():  # as of most
            return list(found)
        found.clear()
        stack = list(numbers)[::-1]
        seen: set[int] = set()
        while stack:
            number = stack.pop()
            if max(number, ~number) in self._installs.owners:
                found[number] = None
            elif number >= 0 and number not in seen:
                seen.add(number)
                stack += self._installs.runtime(number)[::-1]
        return list(found)

    def is_elsewhere(self, number: int) -> bool:
        """Return whether nothing of ours follows from the package with this number."""
        return self._is_elsewhere(self.origin(number))

    def all_elsewhere(self) -> set[int]:
        """Return all packages of which `is_elsewhere` is true now."""
        packages = self._graph.packages
        units = {unit for unit, one in enumerate(packages) if self._is_elsewhere(one)}
        found = {number for number, unit in self._installs.owners.items() if unit in units}
        return found | {~number for number in found}

    def walk(self, package: Package, seen: set[int]) -> Iterator[Package]:
        """Yield the packages that must exist to build `package`; names in `seen` are passed over.

        The caller may decide about each package as it comes: if that is elsewhere then, nothing
        behind it is looked for.
        """
        stack = [number for number in self.environment(package) if number not in seen]
        while stack:
            number = stack.pop()
            if number in seen:
                continue
            seen.add(number)
            origin = self.origin(number)
            yield origin
            if not self._is_elsewhere(origin):
                stack += [needed for needed in self.runtime(number) if needed not in seen]
