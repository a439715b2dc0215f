"""What must be there before a package can be built.

Two kinds of nodes: to *build* a package, each name in its environment must be *installable*; for a
name to be installable, its origin must be built and the names that it needs at run time be
installable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from dag.core.graph.graph import Graph
from dag.core.package.model import Package, bare_name


class Needs:
    """The edges, found as they are asked for.

    A number stands for a name that can be installed. `depends(name, package)` gives further
    run-time needs of a name that the store knows; `is_elsewhere(package)` says that nothing of ours
    follows from needing it.
    """

    def __init__(
        self,
        graph: Graph,
        depends: Callable[[str, Package], Iterable[str]],
        is_elsewhere: Callable[[Package], bool],
    ) -> None:
        self._graph = graph
        self._depends = depends
        self._is_elsewhere = is_elsewhere
        self._numbers: dict[str, int] = {}
        self._origins: list[Package] = []
        self.names: list[str] = []
        self._texts: dict[str, int] = {}
        self._environments: dict[str, list[int]] = {}
        self._runtime: dict[str, tuple[str, ...]] = {}
        for package in graph.packages:
            self._runtime[package.name] = package.runtime
            for subpackage in package.subpackages:
                self._runtime[subpackage.name] = subpackage.runtime

    def number(self, text: str) -> int:
        """The number of the name in `text`, or -1 for a conflict or a name from elsewhere."""
        number = self._texts.get(text)
        if number is None:
            number = self._texts[text] = self._find(text)
        return number

    def _find(self, text: str) -> int:
        name = bare_name(text)
        package = None if name.startswith("!") else self._graph.origin(name)
        if package is None:
            return -1
        name = self._graph.provider(name) or name
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
            self._origins.append(package)
        return number

    def origin(self, number: int) -> Package:
        """The package that builds a name."""
        return self._origins[number]

    def environment(self, package: Package) -> list[int]:
        """The names that the build of `package` installs, each once."""
        found = self._environments.get(package.name)
        if found is None:
            found = self._all([need[0] for need in package.environment])
            self._environments[package.name] = found
        return found

    def texts(self, package: Package, numbers: Collection[int]) -> list[tuple[int, str]]:
        """How `package` asks for the names with these numbers, as written."""
        texts = [need[0] for need in package.environment]
        return [(number, text) for text in texts if (number := self.number(text)) in numbers]

    def runtime(self, number: int) -> list[int]:
        """The names that a name needs at run time."""
        name = self.names[number]
        texts = [*self._runtime.get(name, ()), *self._depends(name, self._origins[number])]
        return self._all(texts) if texts else []

    def _all(self, texts: Iterable[str]) -> list[int]:
        numbers = dict.fromkeys(map(self.number, texts))
        numbers.pop(-1, None)
        return list(numbers)

    def elsewhere(self) -> set[int]:
        """The numbers known so far of which nothing of ours follows."""
        return {number for number, origin in enumerate(self._origins) if self._is_elsewhere(origin)}

    def walk(self, package: Package, seen: set[int]) -> Iterator[Package]:
        """The packages that must exist to build `package`; what `seen` has is passed over.

        Whoever walks decides about each package as it comes: nothing is looked for behind one that
        turns out to be elsewhere.
        """
        stack = [number for number in self.environment(package) if number not in seen]
        while stack:
            number = stack.pop()
            if number in seen:
                continue
            seen.add(number)
            origin = self._origins[number]
            yield origin
            if not self._is_elsewhere(origin):
                stack += [needed for needed in self.runtime(number) if needed not in seen]
