"""The needs of a build: what must be there before a package can be built.

To *build* a package, each name in its environment must be *installable*. For a name to be
installable, its origin must be built, and the names that it needs at run time must be installable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from dag.core.graph.graph import Graph
from dag.core.package.model import Package, bare_name


class Needs:
    """The edges between builds and names, which are found when somebody asks for them.

    A number stands for a name that can be installed.
    """

    def __init__(
        self,
        graph: Graph,
        depends: Callable[[str, Package], Iterable[str]],
        is_elsewhere: Callable[[Package], bool],
    ) -> None:
        """Take the graph, and what is known besides.

        `depends(name, package)` returns more run-time needs of a name that the store has;
        `is_elsewhere(package)` says whether nothing of ours follows from a need of that package.
        """
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
        """Return the number of the name in `text`; -1 for a conflict or a name that is not ours."""
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
        """Return the package that builds the name with this number."""
        return self._origins[number]

    def environment(self, package: Package) -> list[int]:
        """Return the names that the build of `package` installs, each once."""
        found = self._environments.get(package.name)
        if found is None:
            found = self._numbers_of([need[0] for need in package.environment])
            self._environments[package.name] = found
        return found

    def texts(self, package: Package, numbers: Collection[int]) -> list[tuple[int, str]]:
        """Return the texts by which `package` asks for the names with these numbers."""
        texts = [need[0] for need in package.environment]
        return [(number, text) for text in texts if (number := self.number(text)) in numbers]

    def runtime(self, number: int) -> list[int]:
        """Return the names that the name with this number needs at run time."""
        texts = self.runtime_texts(number)
        return self._numbers_of(texts) if texts else []

    def runtime_texts(self, number: int) -> list[str]:
        """Return what the name with this number needs at run time, as it is written."""
        name = self.names[number]
        return [*self._runtime.get(name, ()), *self._depends(name, self._origins[number])]

    def _numbers_of(self, texts: Iterable[str]) -> list[int]:
        numbers = dict.fromkeys(map(self.number, texts))
        numbers.pop(-1, None)
        return list(numbers)

    def elsewhere(self) -> set[int]:
        """Return the numbers, of those known so far, from which nothing of ours follows."""
        return {number for number, origin in enumerate(self._origins) if self._is_elsewhere(origin)}

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
            origin = self._origins[number]
            yield origin
            if not self._is_elsewhere(origin):
                stack += [needed for needed in self.runtime(number) if needed not in seen]
