"""Definitions and repositories → the packages that each environment installs, as apko chooses.

A package is a number of `dag.core.package.supply`; a unit is a definition, by its place. Units that
ask the same repositories have a supply in common: the definitions, and what these repositories
list. So a package has a number for each supply, and with it its needs at run time are known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dag.core.package.apkindex import PackageRepository
from dag.core.package.candidates import Candidate, Catalogue
from dag.core.package.environments import Decisions, Environments
from dag.core.package.locking import install_environment
from dag.core.package.model import Need, Package
from dag.core.package.names import find_clashes
from dag.core.package.outcome import GaveUp, Installed
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


@dataclass(frozen=True)
class _Group:
    """Units that ask the same repositories."""

    packages: Sequence[Package]
    """All definitions, by unit."""
    supply: Supply
    environments: Environments
    places: Mapping[int, int]
    """Unit → the place of its environment."""

    @cached_property
    def unsatisfied(self) -> frozenset[str]:
        """Return the needs that no package satisfies, or only an external one."""
        choice, is_external = self.environments.choice, self.supply.is_external
        asked = {need[0] for unit in self.places for need in self.packages[unit].environment}
        chosen = {text: choice(text) for text in asked if text[:1] != "!"}
        return frozenset(t for t, one in chosen.items() if one is None or is_external(one))


class Installs:
    """What the environments of some definitions install.

    A definition that is not for the architecture makes nothing, but has needs all the same.
    """

    def __init__(
        self,
        packages: Sequence[Package],
        arch: str | None,
        repository: PackageRepository | None = None,
        own: Mapping[str, PackageRepository] | None = None,
        decided: Decisions | None = None,
    ) -> None:
        """Choose for every need of `packages`, sorted by name, among them and what is listed.

        That is what `repository` lists, or for a package in `own` what that one does. `decided` is
        what `decisions` returned for the very same.
        """
        self.packages = packages
        self.arch = arch
        self._repository = repository or PackageRepository()
        self._own = own or {}
        self._makers = [
            unit for unit, one in enumerate(packages) if arch is None or one.builds_on(arch)
        ]
        self.clashes = find_clashes(packages, arch)
        """The names of which two definitions make a package."""
        if self.clashes:
            # Of two packages of one name and version, that of the later file counts.
            self._makers.sort(key=lambda unit: packages[unit].file, reverse=True)
        self._groups = self._grouped(decided)
        self._starts = [group.supply.numbers.start for group in self._groups]
        self._group_of = [self._groups[0]] * len(packages)
        for group in self._groups:
            for unit in group.places:
                self._group_of[unit] = group
        self.owners: Mapping[int, int] = {
            number: self._makers[place]
            for group in self._groups
            for number, place in group.supply.made()
        }
        """The units that make packages, by package; what comes from elsewhere is not there."""
        self.common = self._groups[0].supply
        """All packages that there are for who asks only `repository`."""
        self.candidates = self.common.resolver.candidates
        first = self._groups[0].environments
        self.runtime = first.runtime if len(self._groups) == 1 else self._runtime
        self.targets = [self._targets(unit) for unit in range(len(packages))]
        """What each unit installs: packages, with what these need at run time.

        Where apko does not install just that, it is every single package, and `~` of its number.
        """

    def of_others(self, packages: Sequence[Package]) -> Installs:
        """Return what the environments of other definitions install, from the same repositories."""
        return Installs(packages, self.arch, self._repository, self._own)

    def _grouped(self, decided: Decisions | None) -> list[_Group]:
        """Return the groups, first that of the units which ask only the common repository."""
        common, own = self._repository, self._own
        repositories = {id(common): common}
        units: dict[int, list[int]] = {id(common): []}
        for unit, package in enumerate(self.packages):
            one = own.get(package.name, common)
            repositories[id(one)] = one
            units.setdefault(id(one), []).append(unit)
        made = [self.packages[unit] for unit in self._makers]
        catalogue = Catalogue()
        supplies = {
            key: Supply(made, _others(made, one.candidates), catalogue, available=one.names)
            for key, one in repositories.items()
        }
        groups = []
        for key, supply in supplies.items():
            worlds = map(supply.needs, map(self.packages.__getitem__, units[key]))
            places = {unit: place for place, unit in enumerate(units[key])}
            environments = Environments(supply.resolver, worlds, decided)
            groups.append(_Group(self.packages, supply, environments, places))
        return groups

    def decisions(self) -> Decisions | None:
        """Return all that was decided; None if not all units ask the same repositories."""
        return self._groups[0].environments.decisions() if len(self._groups) == 1 else None

    def _targets(self, unit: int) -> Sequence[int]:
        environments, place = self._environment(unit)
        if environments.is_plain(place) or self.lacks(unit):
            return environments.chosen(place)
        found = environments.install(place)
        if isinstance(found, GaveUp):
            return environments.chosen(place)
        return [~number for number in sorted(found)]

    def _environment(self, unit: int) -> tuple[Environments, int]:
        group = self._group_of[unit]
        return group.environments, group.places[unit]

    def _group_with(self, number: int) -> _Group:
        """Return the group that has a package; any, if that is external."""
        if len(self._groups) == 1:
            return self._groups[0]
        return self._groups[bisect_right(self._starts, number) - 1]

    def supply(self, unit: int) -> Supply:
        """Return all packages that there are for the environment of a unit."""
        return self._group_of[unit].supply

    def supply_with(self, number: int) -> Supply:
        """Return the supply that has a package; any, if that is external."""
        return self._group_with(number).supply

    @property
    def components(self) -> Iterator[Sequence[int]]:
        """Yield the packages that need others at run time, each after those that it needs.

        Those that need each other are together.
        """
        return (one for group in self._groups for one in group.environments.components)

    def choice(self, unit: int, text: str) -> int | None:
        """Return what apko prefers of all that satisfies a need of a unit; None if nothing does."""
        return self._group_of[unit].environments.choice(text)

    def _runtime(self, number: int) -> tuple[int, ...]:
        """Return what is preferred for each need that a package has of others at run time."""
        return self._group_with(number).environments.runtime(number)

    def lacks(self, unit: int) -> bool:
        """Tell whether nothing at all satisfies a need of a definition: apko gives up at that."""
        choice, needs = self._group_of[unit].environments.choice, self._needs(unit)
        return any(choice(text) is None for text in needs if text[:1] != "!")

    def _needs(self, unit: int) -> Sequence[str]:
        group = self._group_of[unit]
        return group.supply.needs(self.packages[unit])

    def is_external(self, number: int) -> bool:
        """Tell whether a package is one that neither the definitions nor the repositories have."""
        return self.common.is_external(number)

    def unsatisfied(self, unit: int) -> frozenset[str]:
        """Return the needs of a unit, and of others, that no package of its supply satisfies."""
        return self._group_of[unit].unsatisfied

    def owner(self, number: int) -> int | None:
        """Return the unit that makes a package; None if it comes from elsewhere."""
        return self.owners.get(number)

    def installed(self, unit: int) -> set[int] | None:
        """Return the units whose packages an environment installs; None if apko gives up."""
        if self.lacks(unit):
            return None
        environments, place = self._environment(unit)
        found = environments.install(place)
        if isinstance(found, GaveUp):
            return None
        return {self._makers[owner] for owner in self.supply(unit).owners(found)}

    def refusal(self, unit: int) -> GaveUp | None:
        """Return where apko gives up at the environment of a unit; None if it does not."""
        environments, place = self._environment(unit)
        if environments.is_plain(place):
            return None
        found = environments.install(place)
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
            for needed in self.runtime(number) if follow else ():
                if needed not in found:
                    found.add(needed)
                    queue.append(needed)

    def direct_ways(self, unit: int) -> Iterator[Way]:
        """Yield the packages that an environment installs for the needs of its definition."""
        targets = self.targets[unit]
        settled = {~number for number in targets} if targets and targets[0] < 0 else None
        for need in self.packages[unit].environment:
            number = self.choice(unit, need[0])
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
            for number in self.runtime(way.package):
                if number not in found:
                    found.add(number)
                    queue.append(Way(way.need, number, way))

    def _causes(self, unit: int) -> Iterator[Way]:
        """Yield the same of an environment that is not plain, as apko went about it."""
        outcome = install_environment(self.supply(unit).resolver, self._needs(unit))
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
