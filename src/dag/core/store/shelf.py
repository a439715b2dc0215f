"""The finished packages that builds may install, and what they turned out to need and to give.

melange finds needs and provided names of a package when it is built (`so:libz.so.1`, `cmd:zfoo`,
`pc:zlib`), which no definition names. The graph does not have them, but the units do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from dag.core.package.apk import Apk
from dag.core.package.candidates import Candidate, Universe
from dag.core.package.model import bare_name
from dag.core.package.preference import Preferences
from dag.core.store.records import Built

_PRIORITY = re.compile(r"^k:(\d+)$", re.MULTILINE)


class Shelf:
    """The packages, by name and by what they provide."""

    def __init__(self) -> None:
        self._packages: dict[str, Built] = {}
        self._givers: dict[str, set[str]] = {}
        """Provided name → the packages that provide it."""

    def add(self, built: Iterable[Built]) -> None:
        """Put packages there; one of the same name goes."""
        for one in built:
            before = self._packages.get(one.apk.name)
            for text in before.apk.provides if before else ():
                self._givers.get(bare_name(text), set()).discard(one.apk.name)
            self._packages[one.apk.name] = one
            for text in one.apk.provides:
                self._givers.setdefault(bare_name(text), set()).add(one.apk.name)

    def get(self, name: str) -> Built | None:
        """Return the package of this name."""
        return self._packages.get(name)

    def has(self, name: str) -> bool:
        """Return whether something has or provides this name."""
        return name in self._packages or bool(self._givers.get(name))

    def giver(self, name: str, without: Collection[str]) -> Built | None:
        """Return the package that apko prefers of those that provide a name; None if none does."""
        givers = sorted(self._givers.get(name, set()).difference(without))
        found = [self._packages[one] for one in givers]
        if len(found) < 2:
            return found[0] if found else None
        universe = Universe(_candidate(one.apk) for one in found)
        return found[Preferences(universe).best(name, range(len(found)))]


def _candidate(apk: Apk) -> Candidate:
    priority = _priority(apk)
    return Candidate(apk.name, apk.version, apk.origin, (), apk.provides, priority)


def _priority(apk: Apk) -> int:
    found = _PRIORITY.search(apk.stanza)
    return int(found[1]) if found else 0


def packages_to_install(
    environment: Iterable[str],
    shelf: Shelf,
    provider: Callable[[str], str | None],
    without: Collection[str] = (),
    available: Collection[str] = (),
) -> dict[str, Built]:
    """Return what a build environment installs of a shelf: what it names and all that they need.

    `provider` names the package that is chosen for a need among the definitions. A package that is
    not found comes from a repository, which has the names `available`, or melange will say that it
    is missing. Packages in `without` are passed over.
    """
    found: dict[str, Built] = {}
    todo = list(environment)
    open_names: dict[str, None] = {}
    while todo or open_names:
        if not todo:
            # What is there already goes before what would have to come in addition.
            there = {bare_name(text) for one in found.values() for text in one.apk.provides}
            wanted = [name for name in open_names if name not in there]
            open_names.clear()
            givers = (shelf.giver(name, without) for name in wanted)
            todo += [one.apk.name for one in givers if one is not None]
            continue
        text = todo.pop()
        # A provider of today goes before a package that once had the name and is still there.
        chosen, name = provider(text), bare_name(text)
        one = shelf.get(chosen or name)
        if one is None:
            if chosen is None and name not in available:
                open_names[name] = None
        elif one.apk.name not in found and one.apk.name not in without:
            found[one.apk.name] = one
            todo += one.apk.depends
            todo += one.requires
    return found


def lacking_names(
    installed: Mapping[str, Built],
    shelf: Shelf,
    provider: Callable[[str], str | None],
    available: Collection[str],
) -> dict[str, str]:
    """Return what packages turned out to need and nobody is known to give → one that needs it."""
    return {
        name: one.apk.name
        for one in installed.values()
        for text in one.apk.depends
        if not text.startswith("!")
        and (name := bare_name(text)) not in available
        and provider(text) is None
        and not shelf.has(name)
    }


def find_requirements(
    apk: Apk, around: Iterable[Apk], provider: Callable[[str], str | None]
) -> Iterator[str]:
    """Yield the packages among `around` that give what `apk` needs but no definition names."""
    wanted = {bare_name(text) for text in apk.depends}
    for other in sorted(around, key=lambda one: one.name):
        if other.name == apk.name or other.name in wanted:
            continue
        given = {bare_name(text) for text in other.provides}
        if any(provider(name) is None for name in given & wanted):
            yield other.name
