"""What cannot be installed together: conflicts, constraints, names that two provide.

Ported from the behaviour of apko 1.2.21 (pkg/apk/apk/repo.go: constrain, disqualifyProviders,
disqualifyConflicts, and the check of what was selected in getPackageDependencies).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dag.core.package.candidates import Candidate, Universe
from dag.core.package.constraints import SATISFIES, Constraint, Version, is_version, version

MANY = 1000
"""A name that more packages have or provide is odd: nobody publishes that, it would take long."""


class Excluded(NamedTuple):
    """A package that an environment cannot have."""

    package: int
    text: str
    """The need or conflict that rules it out, or the name that another package provides as well."""
    by: int | None = None
    """That other package."""


class Rule(NamedTuple):
    """What a need, or a conflict, of a package rules out."""

    is_conflict: bool
    excluded: tuple[Excluded, ...]


class BadConstraint(ValueError):
    """A constraint with a version that apko refuses."""

    def __init__(self, text: str, version: str) -> None:
        super().__init__(text)
        self.text = text
        self.version = version


class Exclusions:
    """What each package and each need rules out; found once each."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._candidates = universe.candidates
        self._by_text: dict[str, tuple[Excluded, ...]] = {}
        self._by_package: dict[int, tuple[Excluded, ...]] = {}
        self._compared: dict[str, list[tuple[int, list[Version | None]]]] = {}
        self._with_version: dict[str, tuple[int, ...]] = {}
        self._rules: dict[int, tuple[Rule, ...]] = {}

    def of_need(self, text: str) -> tuple[Excluded, ...]:
        """Return what cannot be installed along with the need, or conflict, `text`.

        Raises:
            BadConstraint: there are packages of that name, but `text` has no version to compare.

        """
        found = self._by_text.get(text)
        if found is None:
            numbers = self._conflicting(text) if text[:1] == "!" else self.unsatisfying(text)
            found = self._by_text[text] = tuple(Excluded(number, text) for number in numbers)
        return found

    def _conflicting(self, text: str) -> Sequence[int]:
        found = self._universe.satisfying(text[1:])
        if self._universe.has_pins:
            found = self._universe.allowed(found, self._universe.constraint(text[1:]).pin)
        return found

    def unsatisfying(self, text: str) -> Sequence[int]:
        """Return the packages that have or provide a name, but not as the need `text` wants it.

        Raises:
            BadConstraint: as `of_need`.

        """
        need = self._universe.constraint(text)
        providers = self._universe.providers(need.name) if need.operator else ()
        if not providers:
            return ()
        required = version(need.version)
        if required is None:
            raise BadConstraint(text, need.version)
        satisfies = SATISFIES[need.operator]
        return [
            number
            for number, given in self._versions(need.name)
            if any(one is None or not satisfies(one, required) for one in given)
        ]

    def _versions(self, name: str) -> list[tuple[int, list[Version | None]]]:
        """Return the providers of a name, and the versions that each must have right, all of them.

        None is an invalid one.
        """
        found = self._compared.get(name)
        if found is None:
            found = self._compared[name] = []
            for number in dict.fromkeys(self._universe.providers(name)):
                one = self._candidates[number]
                if one.name == name:
                    texts = [one.version]
                else:
                    provisions = map(self._universe.constraint, one.provides)
                    texts = [given.version for given in provisions if given.name == name]
                found.append(
                    (number, [version(text) for text in texts if text or one.name == name])
                )
        return found

    def of_needs(self, number: int) -> tuple[Rule, ...]:
        """Return what the run-time needs of a package rule out.

        Raises:
            BadConstraint: as `of_need`.

        """
        found = self._rules.get(number)
        if found is None:
            found = self._rules[number] = tuple(
                Rule(text[:1] == "!", excluded)
                for text in self._candidates[number].depends
                if (text[:1] == "!" or self._universe.constraint(text).operator)
                and (excluded := self.of_need(text))
            )
        return found

    def of_package(self, number: int) -> tuple[Excluded, ...]:
        """Return what cannot be installed along with a package: what provides the same names."""
        found = self._by_package.get(number)
        if found is None:
            provides = self._candidates[number].provides
            found = self._by_package[number] = tuple(self._rivals(number)) if provides else ()
        return found

    def _rivals(self, number: int) -> Iterator[Excluded]:
        for provision in map(self._universe.constraint, self._candidates[number].provides):
            name = provision.name
            # Several can provide a name without a version.
            rivals = self._universe.providers(name) if provision.version else self._versioned(name)
            yield from (Excluded(other, name, number) for other in rivals if other != number)

    def _versioned(self, name: str) -> tuple[int, ...]:
        """Return the packages that have or provide a version of a name."""
        found = self._with_version.get(name)
        if found is None:
            universe = self._universe
            found = self._with_version[name] = tuple(
                number for number in universe.providers(name) if universe.version_for(number, name)
            )
        return found

    def reason(self, excluded: Excluded) -> str:
        """Say as apko does why a package is excluded."""
        number, text, by = excluded
        if by is not None:
            return f"{self._candidates[by].file} already provides {text}"
        if text[:1] == "!":
            return f"excluded by {text}"
        return self._why(self._candidates[number], self._universe.constraint(text))

    def _why(self, one: Candidate, need: Constraint) -> str:
        if one.name == need.name:
            if not is_version(one.version):
                return f"parsing version {quoted(one.version)} failed: {refused(one.version)}"
            return f"{quoted(one.version)} does not satisfy {quoted(need.text)}"
        why = ""  # the last reason counts
        for provision in map(self._universe.constraint, one.provides):
            if provision.name == need.name and provision.version:
                given, required = version(provision.version), version(need.version)
                if given is None:
                    why = f"parsing {quoted(provision.version)}: {refused(provision.version)}"
                elif required and not SATISFIES[need.operator](given, required):
                    what = f"{quoted(one.file)} provides {quoted(provision.text)}"
                    why = f"{what} which does not satisfy {quoted(need.text)}"
        return why

    def misfit(self, picked: int, text: str) -> str:
        """Say why a package that was taken for a name cannot serve another need of it, or nothing."""
        need = self._universe.constraint(text)
        if not need.version:
            return ""
        one = self._candidates[picked]
        own, required = version(one.version), version(need.version)
        if own is None or required is None:
            return refused(one.version if own is None else need.version)
        for provision in map(self._universe.constraint, one.provides):
            if provision.name == need.name and provision.version:
                given = version(provision.version)
                if given is None:
                    return refused(provision.version)
                # apko goes by the provision's operator here, not by the need's.
                if SATISFIES[provision.operator](given, required):
                    return ""
        if SATISFIES[need.operator](own, required):
            return ""
        what = quoted(f"{one.name}={one.version}")
        return f"we already selected {what} which conflicts with {quoted(text)}"

    def is_odd(self, number: int) -> bool:
        """Tell whether what a package brings about depends on more than on what is installed.

        Its version cannot be compared, it provides its own name or a version of a name twice, a
        name has too many packages, or others are installed because of it.
        """
        one = self._candidates[number]
        if not is_version(one.version):
            return True
        triggers = self._universe.triggers
        if triggers and not triggers.keys().isdisjoint((one.name, f"{one.name}={one.version}")):
            return True
        if len(self._universe.named(one.name)) > MANY:
            return True
        versioned = {one.name: True}
        for provision in map(self._universe.constraint, one.provides):
            before = versioned.get(provision.name)
            if before or (before is not None and provision.version):
                return True
            if len(self._universe.providers(provision.name)) > MANY:
                return True
            versioned[provision.name] = bool(provision.version)
        return False


def quoted(text: str) -> str:
    """Write `text` as apko's messages do."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def refused(text: str) -> str:
    """Say as apko does that `text` is no version."""
    return f"invalid version {text}, could not parse"
