"""The packages that definitions make, and those of repositories, as what can be installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from dag.core.package.candidates import Candidate, Catalogue
from dag.core.package.model import Package
from dag.core.package.resolver import Resolver

# As `_make` does, without a Python call for each of 11,000.
_candidate = partial(tuple.__new__, Candidate)


_NOTHING: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


def _as_listed(
    runtime: tuple[str, ...], provides: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the needs and the provided names of a package as an index has them once it is built.

    melange sorts both and lists each once, and no need that has the very text of a provided name
    (https://pkg.go.dev/chainguard.dev/melange@v0.56.0/pkg/build, GenerateDependencies). apko takes the
    first version of a name, and what is needed first may decide what comes with the rest.
    """
    if not (runtime or provides):
        return _NOTHING  # as most
    listed = sorted({text.strip() for text in provides})
    given = {text.partition("=")[0] for text in listed}
    needs = (
        text.partition(">=")[0] if text.startswith("so-ver:") else text
        for text in sorted({text.strip() for text in runtime})
    )
    return tuple(text for text in needs if text not in given), tuple(listed)


class Supply:
    """The packages of definitions, then those that repositories list.

    A name that neither has is external: it counts as one package that satisfies every need of it.
    """

    def __init__(
        self,
        packages: Iterable[Package],
        listed: Iterable[Candidate] = (),
        catalogue: Catalogue | None = None,
        *,
        available: frozenset[str] = frozenset(),
    ) -> None:
        """Take definitions for one architecture, in the order of preference.

        Two definitions may make packages of one name: then the higher version is preferred, of
        equal ones the first. Supplies of one catalogue have numbers of their own.
        """
        self.packages = tuple(packages)
        self.available = available
        """The names that the repositories can install."""
        self._owners: list[int] = []
        candidates: list[Candidate] = []
        for place, package in enumerate(self.packages):
            origin, full_version = package.name, package.full_version
            outputs = package.outputs
            self._owners += [place] * len(outputs)
            candidates += [
                _candidate(
                    (
                        one.name,
                        full_version,
                        origin,
                        *_as_listed(one.runtime, one.provides),
                        max(0, one.provider_priority),
                        (),
                        "",
                        "",
                    )
                )
                for one in outputs
            ]
        candidates += listed
        self.resolver = Resolver(candidates, externals=True, catalogue=catalogue)
        self.numbers = self.resolver.universe.numbers
        """The numbers of its packages; those of the definitions come first."""

    def made(self) -> Iterator[tuple[int, int]]:
        """Yield the packages that definitions make, each with the place of its definition."""
        return enumerate(self._owners, self.numbers.start)

    def owners(self, numbers: Iterable[int]) -> set[int]:
        """Return the places in `packages` of all definitions that make any of these packages."""
        owners, first = self._owners, self.numbers.start
        end = first + len(owners)
        return {owners[number - first] for number in numbers if first <= number < end}

    def is_external(self, number: int) -> bool:
        """Tell whether a package is one that neither the definitions nor the repositories have."""
        return number >= self.resolver.universe.listed

    def is_unknown(self, text: str) -> bool:
        """Tell whether neither the definitions nor the repositories have the name in a need."""
        number = None if text[:1] == "!" else self.resolver.preferences.choice(text)
        return number is not None and self.is_external(number)

    def needs(self, package: Package) -> list[str]:
        """Return the needs of a definition's environment, as written.

        A conflict with something unknown means nothing; apko itself gives up at any conflict here.
        """
        known = self.resolver.universe.is_known
        needs = package.environment
        return [text for need in needs if (text := need[0])[:1] != "!" or known(text)]
