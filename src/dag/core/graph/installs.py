"""Definitions and repositories → the packages that each environment installs, as apko chooses.

A package is a number of `dag.core.package.supply`; a unit is a definition, by its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from dag.core.package.candidates import Candidate
from dag.core.package.environments import Environments
from dag.core.package.model import Need, Package
from dag.core.package.names import find_clashes
from dag.core.package.outcome import GaveUp, Installed
from dag.core.package.solver import install
from dag.core.package.supply import Supply


class Way(NamedTuple):
    """How a package comes into an environment."""

    need: Need
    """The need of the definition that it is there for."""
    package: int
    before: Way | None
    """How the package came that needs this one at run time; None if the need itself is for it."""

    @property
    def packages(self) -> list[int]:
        """Return the package that the need is for, what that needs, and so on, to this one."""
        found = []
        way: Way | None = self
        while way is not None:
            found.append(way.package)
            way = way.before
        return found[::-1]


class Installs:
    """What the environments of some definitions install.

    A definition that is not for the architecture makes nothing, but has needs all the same.
    """

    def __init__(
        self, packages: Sequence[Package], arch: str | None, listed: Iterable[Candidate] = ()
    ) -> None:
        """Choose for every need of `packages`, sorted by name, among them and what is `listed`."""
        self.packages = packages
        self._makers = [
            unit for unit, one in enumerate(packages) if arch is None or one.builds_on(arch)
        ]
        if find_clashes([packages[unit] for unit in self._makers]):
            # Of two equal packages apko takes the first that is listed, which is of the later file.
            self._makers.sort(key=lambda unit: packages[unit].file, reverse=True)
        made = [packages[unit] for unit in self._makers]
        self.supply = Supply(made, _others(made, listed))
        self._worlds = [self.supply.needs(one) for one in packages]
        self.environments = Environments(self.supply.resolver, self._worlds)
        self.candidates = self.supply.resolver.candidates
        is_plain, chosen = self.environments.is_plain, self.environments.chosen
        self.targets = [
            chosen(unit) if is_plain(unit) else self._settled(unit) for unit in range(len(packages))
        ]
        """What each unit installs: packages, with what these need at run time.

        Where apko does not install just that, it is every single package, and `~` of its number.
        """

    def _settled(self, unit: int) -> list[int]:
        if self.lacks(unit):
            return self.environments.chosen(unit)
        found = self.environments.install(unit)
        if isinstance(found, GaveUp):
            return self.environments.chosen(unit)
        return [~number for number in sorted(found)]

    def lacks(self, unit: int) -> bool:
        """Tell whether nothing at all satisfies a need of a definition: apko gives up at that."""
        choice = self.environments.choice
        return any(choice(text) is None for text in self._worlds[unit] if text[:1] != "!")

    def owner(self, number: int) -> int | None:
        """Return the unit that makes a package; None if it comes from elsewhere."""
        place = self.supply.owner(number)
        return None if place is None else self._makers[place]

    def external_name(self, need: Need) -> str:
        """Return what to look for elsewhere: a need with its constraint if its name is known here."""
        name = need.name
        return need.text if self.supply.resolver.universe.is_known(name) else name

    def installed(self, unit: int) -> set[int] | None:
        """Return the units whose packages an environment installs; None if apko gives up."""
        if self.lacks(unit):
            return None
        found = self.environments.install(unit)
        if isinstance(found, GaveUp):
            return None
        return {self._makers[place] for place in self.supply.owners(found)}

    def refusal(self, unit: int) -> GaveUp | None:
        """Return where apko gives up at the environment of a unit; None if it does not."""
        if self.environments.is_plain(unit):
            return None
        found = self.environments.install(unit)
        return found if isinstance(found, GaveUp) else None

    def walk(self, unit: int, closed: Collection[int] = ()) -> Iterator[int]:
        """Yield the packages that an environment installs, each once, nearest first.

        Those of the units `closed` are left out, and what only they need.
        """
        targets = self.targets[unit]
        found = {number if number >= 0 else ~number for number in targets}
        queue = list(dict.fromkeys(number if number >= 0 else ~number for number in targets))
        follow = not targets or targets[0] >= 0
        for number in queue:  # grows while it is walked
            if closed and self.owner(number) in closed:
                continue
            yield number
            for needed in self.environments.runtime(number) if follow else ():
                if needed not in found:
                    found.add(needed)
                    queue.append(needed)

    def direct_ways(self, unit: int) -> Iterator[Way]:
        """Yield the packages that an environment installs for the needs of its definition."""
        targets = self.targets[unit]
        settled = {~number for number in targets} if targets and targets[0] < 0 else None
        for need in self.packages[unit].environment:
            number = self.environments.choice(need[0])
            if number is not None and (settled is None or number in settled):
                yield Way(need, number, None)

    def ways(self, unit: int) -> Iterator[Way]:
        """Yield how each package comes into an environment; those of its own needs go first."""
        targets = self.targets[unit]
        if targets and targets[0] < 0:
            yield from self._causes(unit)
            return
        queue = list(self.direct_ways(unit))
        found = {way.package for way in queue}
        for way in queue:  # grows while it is walked
            yield way
            for number in self.environments.runtime(way.package):
                if number not in found:
                    found.add(number)
                    queue.append(Way(way.need, number, way))

    def _causes(self, unit: int) -> Iterator[Way]:
        """Yield the same of an environment that is not plain, as apko went about it."""
        outcome = install(self.supply.resolver, self._worlds[unit])
        if not isinstance(outcome, Installed):
            return
        environment = self.packages[unit].environment
        needs = {need.text: need for need in environment}
        ways: dict[int, Way] = {}
        for way in self.direct_ways(unit):
            ways.setdefault(way.package, way)
            yield way
        left = [number for number in outcome.causes if number not in ways]
        while left:
            later = []
            for number in left:
                cause = outcome.causes[number]
                if cause.by in ways:
                    before = ways[cause.by]
                    ways[number] = Way(before.need, number, before)
                elif cause.by is None and cause.text in needs:
                    ways[number] = Way(needs[cause.text], number, None)
                else:
                    later.append(number)
                    continue
                yield ways[number]
            if len(later) == len(left):
                # What needed them was not installed in the end, but another package of its name.
                yield from (Way(environment[0], number, None) for number in later)
                return
            left = later


def _others(made: Iterable[Package], listed: Iterable[Candidate]) -> Iterator[Candidate]:
    """Yield what is `listed` and not what is made here: a repository often has the very same."""
    own = {(name, one.full_version) for one in made for name in one.promised}
    return (one for one in listed if (one.name, one.version) not in own)
