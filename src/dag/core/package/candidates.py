"""The packages that there are, and which of them satisfy a need.

Ported from the behaviour of apko 1.2.21 (pkg/apk/apk/repo.go: newPkgResolver; version.go:
filterPackages), oddities included. A package is a number: its place in the sequence that a
`Universe` is made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from dag.core.package.constraints import SATISFIES, Constraint, Version, is_name, parse, version


class Candidate(NamedTuple):
    """A package as an APKINDEX lists it."""

    name: str
    version: str
    """`VERSION-rEPOCH`."""
    origin: str = ""
    depends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    priority: int = 0
    """Its provider priority."""
    install_if: tuple[str, ...] = ()
    repository: str = ""
    """The place of the index, which tells equal packages of several repositories apart."""
    pin: str = ""
    """The tag of the repository: only a need with that tag is given this package."""

    @property
    def file(self) -> str:
        """The name of its file in a repository."""
        return f"{self.name}-{self.version}.apk"


class Wanted(NamedTuple):
    """A need that a package has at run time."""

    text: str
    name: str
    among: tuple[int, ...]
    """What satisfies it."""


class Offered(NamedTuple):
    """A package that has or provides a name."""

    package: int
    version: str
    """Its version of that name; empty if it provides the name without one."""


class Catalogue:
    """The packages of several universes, each with a number of its own.

    First come those of each universe, one universe behind the other, then what is external. So all
    universes are made before any of them is asked.
    """

    def __init__(self) -> None:
        self.candidates: list[Candidate] = []
        self.listed = 0
        """Packages from this number on are external."""
        self._externals: dict[str, int] = {}

    def add(self, candidates: Iterable[Candidate]) -> range:
        """Take the packages of a universe; return their numbers."""
        first = self.listed
        self.candidates += candidates
        self.listed = len(self.candidates)
        return range(first, self.listed)

    def external(self, name: str) -> int:
        """Return the number of the external package of that name."""
        number = self._externals.get(name)
        if number is None:
            number = self._externals[name] = len(self.candidates)
            self.candidates.append(Candidate(name, "1-r0"))
        return number


class Universe:
    """All packages that there are for an environment, in the order of their repositories.

    With `externals`, a name that nobody has is a package from elsewhere, which satisfies every need
    of it and needs nothing. Universes of one catalogue have these in common.
    """

    def __init__(
        self,
        candidates: Iterable[Candidate],
        *,
        externals: bool = False,
        catalogue: Catalogue | None = None,
    ) -> None:
        self.catalogue = Catalogue() if catalogue is None else catalogue
        self.numbers = self.catalogue.add(candidates)
        """Those of its own packages."""
        self.candidates = self.catalogue.candidates
        """The packages of all universes of the catalogue."""
        self.has_pins = False
        self.triggers: dict[str, list[int]] = {}
        """Text of an `install_if` → the packages that have it."""
        self._has_externals = externals
        self._own: dict[str, list[int]] = {}
        self._provided: dict[str, list[int]] = {}
        self._constraints: dict[str, Constraint] = {}
        self._providers: dict[str, tuple[int, ...]] = {}
        self._matching: dict[str, tuple[int, ...]] = {}
        self._given: dict[int, tuple[Version, ...]] = {}
        self._wanted: dict[int, tuple[Wanted, ...]] = {}
        self._read()

    def _read(self) -> None:
        own, provided, constraint = self._own, self._provided, self.constraint
        candidates = self.candidates
        for number in list(self.numbers):  # a list, so that they lie together in memory
            name, _, _, _, provides, _, install_if, _, pin = candidates[number]
            if name in own:
                own[name].append(number)
            else:
                own[name] = [number]
            for text in provides:
                provided.setdefault(constraint(text).name, []).append(number)
            for text in install_if:
                self.triggers.setdefault(text, []).append(number)
            if pin:
                self.has_pins = True

    @property
    def listed(self) -> int:
        """Packages from this number on are external."""
        return self.catalogue.listed

    def constraint(self, text: str) -> Constraint:
        """Take a need or a provision apart; each text once."""
        found = self._constraints.get(text)
        if found is None:
            found = self._constraints[text] = parse(text)
        return found

    def is_known(self, text: str) -> bool:
        """Tell whether any package has or provides the name in `text`, which may be a conflict."""
        name = self.constraint(text.removeprefix("!")).name
        return name in self._own or name in self._provided

    def named(self, name: str) -> Sequence[int]:
        """Return the packages of that very name."""
        return self._own.get(name, ())

    @cached_property
    def only(self) -> dict[str, int]:
        """The names that one package alone has, and nobody provides; none if there are tags."""
        if self.has_pins:
            return {}
        return {
            name: numbers[0]
            for name, numbers in self._own.items()
            if len(numbers) == 1 and name not in self._provided and is_name(name)
        }

    def providers(self, name: str) -> tuple[int, ...]:
        """Return every package of that name or that provides it, once for each time that it does.

        Those of one name are together. apko starts anywhere in that order and goes round, which
        matters where its comparison goes in circles; here it is always the first.
        """
        found = self._providers.get(name)
        if found is None:
            several = self._provided.get(name, ())
            if len(several) > 1:
                several = sorted(several, key=lambda one: self._own[self.candidates[one].name][0])
            found = self._providers[name] = (*self._own.get(name, ()), *several)
        return found

    def matching(self, text: str) -> tuple[int, ...]:
        """Return the packages that satisfy the need `text`."""
        found = self._matching.get(text)
        if found is None:
            found = self.satisfying(text)
            if not found and self._has_externals and text[:1] != "!":
                name = self.constraint(text).name
                if not self.providers(name):
                    found = (self.catalogue.external(name),)
            self._matching[text] = found
        return found

    def satisfying(self, text: str) -> tuple[int, ...]:
        """Return the packages that satisfy `text`, none of them external."""
        need = self.constraint(text)
        found = self.providers(need.name)
        if not (found and need.operator):
            return found
        required = version(need.version)
        if required is None:
            return ()
        satisfies = SATISFIES[need.operator]
        passed = []
        for number in found:
            for one in self._versions(number):
                if satisfies(one, required):
                    passed.append(number)
                    break
        return tuple(passed)

    def _versions(self, number: int) -> tuple[Version, ...]:
        """Return every version that a package has or provides, of whatever name.

        There are none if its own is invalid.
        """
        found = self._given.get(number)
        if found is None:
            one = self.candidates[number]
            texts = (one.version, *(self.constraint(text).version for text in one.provides))
            own, *others = map(version, texts)
            found = () if own is None else (own, *(other for other in others if other is not None))
            self._given[number] = found
        return found

    def offered(self, text: str) -> list[Offered]:
        """Return what there is of the name in `text`, whether or not it satisfies it."""
        name = self.constraint(text).name
        numbers = dict.fromkeys(self.providers(name))
        return [Offered(number, self.version_for(number, name)) for number in numbers]

    def allowed(
        self, among: Sequence[int], pin: str, installed: int | None = None
    ) -> tuple[int, ...]:
        """Return those `among` whose repository has no tag or this one, or that are installed."""
        here = None if installed is None else self._place(installed)
        return tuple(
            number
            for number in among
            if self.candidates[number].pin in ("", pin) or self._place(number) == here
        )

    def _place(self, number: int) -> tuple[str, str]:
        one = self.candidates[number]
        return one.repository, one.file

    def version_for(self, number: int, name: str) -> str:
        """Return the version of `name` that a package has or provides; empty if it has none."""
        one = self.candidates[number]
        if name in ("", one.name):
            return one.version
        for text in one.provides:
            provision = self.constraint(text)
            if provision.name == name:
                return provision.version
        return ""

    def wanted(self, number: int) -> tuple[Wanted, ...]:
        """Return what a package needs of others at run time: not what it is or provides itself."""
        found = self._wanted.get(number)
        if found is None:
            needs = self.candidates[number].depends
            found = self._wanted[number] = tuple(self._needed(number)) if needs else ()
        return found

    def _needed(self, number: int) -> Iterator[Wanted]:
        one = self.candidates[number]
        provided = {self.constraint(text).name for text in one.provides}
        provided.update(one.provides)
        for text in dict.fromkeys(one.depends):
            if text[:1] == "!" or text in provided:
                continue
            need = self.constraint(text)
            name = need.name
            if name not in provided and not (name == one.name and _is_itself(one, need)):
                yield Wanted(text, name, self.matching(text))


def _is_itself(one: Candidate, need: Constraint) -> bool:
    own = version(one.version)
    if own is None:
        return False
    if not need.operator:
        return True
    required = version(need.version)
    return required is not None and SATISFIES[need.operator](own, required)
