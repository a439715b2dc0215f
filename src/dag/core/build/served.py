"""The packages of repositories that one build installs, by name, version and checksum.

They are chosen when all that is built before is there, because only then is it known what that
needs at run time. apko chooses among the packages that the build is given from the store and what
its repositories list, and so does this: nothing else is needed, so nothing else is served.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dag.core.package.apkindex import IndexEntry, PackageRepository
from dag.core.package.constraints import parse
from dag.core.package.outcome import GaveUp
from dag.core.package.resolver import Resolver
from dag.core.package.solver import install

_CHECKSUM = re.compile(r"Q1[A-Za-z0-9+/]{27}=")


@dataclass(frozen=True, slots=True)
class ServedPackages:
    """What a build takes from repositories."""

    packages: tuple[IndexEntry, ...] = ()
    """By name; melange is served just these, unless the unit is open."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Package → the hash of its file, once that is here."""
    open: str = ""
    """Why melange asks the repositories itself, in words; empty if it is served."""


def choose_served(
    needs: Iterable[str], given: Sequence[IndexEntry], repository: PackageRepository
) -> ServedPackages:
    """Return what an environment takes from `repository`.

    `needs` are those of the definition, as written, and `given` what comes from the store: that
    goes first. It is open if apko gives up, or if a package has no checksum.
    """
    texts = sorted(dict.fromkeys(needs))  # as melange sorts them
    listed = _reachable(texts, given, repository)
    candidates = [one.candidate for one in (*given, *listed)]
    found = install(Resolver(candidates), texts)
    if isinstance(found, GaveUp):
        return ServedPackages(open=f"its environment is not known: {found.message}")
    first = len(given)
    taken = sorted(number - first for number in found.packages if number >= first)
    packages = tuple(sorted((listed[number] for number in taken), key=lambda one: one.name))
    for one in packages:
        if not _CHECKSUM.fullmatch(one.checksum):
            return ServedPackages(packages, open=f"{one.repository} has no checksum of {one.name}")
    return ServedPackages(packages)


def _reachable(
    needs: Iterable[str], given: Sequence[IndexEntry], repository: PackageRepository
) -> list[IndexEntry]:
    """Return what of a repository can matter: a distribution lists 100,000 packages, few matter."""
    finder = _Finder(given, repository)
    finder.follow([parse(text).name for text in needs if text[:1] != "!"])
    while unasked := finder.triggered():
        finder.follow(unasked)
    return [repository.entries[place] for place in sorted(finder.reached)]


class _Finder:
    def __init__(self, given: Sequence[IndexEntry], repository: PackageRepository) -> None:
        self.reached: set[int] = set()
        self._names: set[str] = set()
        self._given = PackageRepository(given)
        self._repository = repository

    def follow(self, names: list[str]) -> None:
        """Reach all that has one of the names, and all that this needs."""
        while names:
            name = names.pop()
            if name in self._names:
                continue
            self._names.add(name)
            for place in self._given.by_name.get(name, ()):
                names += _needed(self._given.entries[place])
            for place in self._repository.by_name.get(name, ()):
                if place not in self.reached:
                    self.reached.add(place)
                    entry = self._repository.entries[place]
                    names += [entry.name, *_needed(entry)]

    def triggered(self) -> list[str]:
        """Return the names of what may be installed unasked, and is not reached yet."""
        repository = self._repository
        left = (repository.entries[n] for n in repository.triggered if n not in self.reached)
        return [
            one.name
            for one in left
            if all(parse(text).name in self._names for text in one.install_if)
        ]


def _needed(one: IndexEntry) -> list[str]:
    return [parse(text).name for text in one.depends if text[:1] != "!"]
