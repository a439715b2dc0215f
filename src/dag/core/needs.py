"""What must be there before a package can be built.

Two kinds of nodes: to *build* a package, each name in its environment must be *installable*; for a
name to be installable, its origin must be built and the names that it needs at run time be
installable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dag.core.definitions import Package, bare_name
from dag.core.graph import Graph


class Needs:
    """The edges, found as they are asked for.

    `depends(name, package)` gives further run-time needs of a name that the store knows;
    `is_elsewhere(package)` says that nothing of ours follows from needing it.
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

    def environment(self, package: str) -> dict[int, str]:
        """The names that the build of `package` installs, as numbers → the text as written."""
        origin = self._graph.origin(package)
        found: dict[int, str] = {}
        for need in origin.environment if origin else ():
            number = self.number(need[0])
            if number >= 0 and not self._is_elsewhere(self._origins[number]):
                found.setdefault(number, need[0])
        return found

    def runtime(self, number: int) -> Iterator[int]:
        """The names that a name needs at run time."""
        name, origin = self.names[number], self._origins[number]
        for texts in (self._runtime.get(name, ()), self._depends(name, origin)):
            for text in texts:
                needed = self.number(text)
                if needed >= 0 and not self._is_elsewhere(self._origins[needed]):
                    yield needed

    def walk(self, package: str, seen: set[int]) -> Iterator[str]:
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
            yield origin.name
            if not self._is_elsewhere(origin):
                stack += (needed for needed in self.runtime(number) if needed not in seen)
