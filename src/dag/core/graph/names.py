"""Names of packages, and words that stand for them → the definitions that make them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property

from dag.core.graph.asked import PathNames, plain_name
from dag.core.graph.installs import Installs
from dag.core.graph.stops import BrokenNames
from dag.core.package.model import Package, bare_name
from dag.core.package.names import Clash
from dag.errors import UsageError


class Names:
    """The names that definitions give; a unit is a definition, by its place."""

    def __init__(self, installs: Installs, arch: str | None, broken: BrokenNames) -> None:
        """Take what can be installed on an architecture, and the names that are broken."""
        self._installs = installs
        self._packages = installs.packages
        self._arch = arch
        self._broken = broken
        self._own = {package.name: unit for unit, package in enumerate(self._packages)}
        self._makers = _find_makers(self._packages, installs.clashes)

    @cached_property
    def given(self) -> frozenset[str]:
        """Return every name that the definitions have, build or provide."""
        names: set[str] = set()
        for package in self._packages:
            for one in package.outputs:
                names.add(one.name)
                names.update(map(bare_name, one.provides))
        return frozenset(names)

    def find(self, name: str) -> int | None:
        """Return the unit that makes the package `name`, or else the one that provides it.

        If none does on this architecture, it is the one that would on another.
        """
        unit = self._makers.get(name)
        resolver = self._installs.common.resolver
        if unit is None and resolver.universe.is_known(name):
            number = resolver.preferences.choice(name)
            unit = None if number is None else self._installs.owner(number)
        return self._foreign.get(name) if unit is None else unit

    @cached_property
    def _foreign(self) -> dict[str, int]:
        """Return the definitions for other architectures, by all the names that they would give."""
        if self._arch is None:
            return {}
        return {
            name: unit
            for unit, package in enumerate(self._packages)
            if not package.builds_on(self._arch)
            for name in package.given
        }

    def number(self, word: str) -> int:
        """Return the unit that a word stands for; errors as for `numbers`."""
        (unit,) = self.numbers([word])
        return unit

    def numbers(self, words: Iterable[str]) -> set[int]:
        """Return the units that words stand for: names, or the paths of `PathNames`.

        Raises:
            UsageError: a word stands for none, or for a broken definition.

        """
        found: set[int] = set()
        unknown: list[str] = []
        for word in words:
            unit = self._own.get(word)
            if unit is None:
                unit = self.find(word)
            if unit is None:
                unit = self._satisfying(word)
            if unit is None:
                unit = self._paths.find(word)
            if unit is None:
                unknown.append(word)
            else:
                found.add(unit)
        if unknown:
            raise self._broken.refusal(unknown) or self._unknown(unknown)
        return found

    def _satisfying(self, word: str) -> int | None:
        """Return the unit that apko would choose for a name with a constraint, such as `foo>1.2`."""
        name, resolver = bare_name(word), self._installs.common.resolver
        if not resolver.universe.is_known(name):
            return self.find(name)
        number = resolver.preferences.choice(word)
        return None if number is None else self._installs.owner(number)

    def _unknown(self, words: Sequence[str]) -> UsageError:
        for word in words:
            name = bare_name(word)
            unit = self.find(name) if name != word else None
            if unit is not None:
                package = self._packages[unit]
                what = f" {package.full_version}" if name in package.promised else ""
                return UsageError(
                    f'package "{word}" not found in graph',
                    hint=f"ask for {name}{what}, which {package.file}:{package.line} gives",
                )
        return _unknown_names(words, self.given)

    @cached_property
    def _paths(self) -> PathNames:
        return PathNames(self._packages, self._arch or "")


def _find_makers(packages: Sequence[Package], clashes: Sequence[Clash]) -> dict[str, int]:
    """Return the place in `packages` of the definition that makes each package or subpackage.

    Of two definitions that make a package of one name, it is the one that counts for apko.
    """
    makers = {package.name: number for number, package in enumerate(packages)}
    for number, package in enumerate(packages):
        for subpackage in package.subpackages:
            makers[subpackage.name] = number
    for clash in clashes:
        makers[clash.name] = clash.counts.place
    return makers


def _unknown_names(names: Sequence[str], known: Collection[str]) -> UsageError:
    """Return the error that there are no packages of these `names`, with the closest that are."""
    from difflib import get_close_matches

    possible = sorted(known)
    hints: list[str] = []
    for name in names[:20]:
        if close := get_close_matches(plain_name(name), possible, n=5):
            instead = f" instead of {name}" if len(names) > 1 else ""
            hints.append(f"did you mean {' or '.join(close)}{instead}?")
    # The words of the original program, which scripts may look for.
    lines = [f'package "{name}" not found in graph' for name in names]
    return UsageError(
        "\n".join(lines), hint=" ".join(hints) or "`dag text -t name` lists all packages"
    )
