"""Which of several packages apko prefers, whatever is installed.

Ported from the behaviour of apko 1.2.21 (pkg/apk/apk/repo.go: comparePackages, bestPackage).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from dag.core.package.candidates import Universe
from dag.core.package.constraints import Version, version


class PreferenceReason(Enum):
    """Why apko takes a package and not the next best one."""

    ONLY = "nothing else satisfies it"
    REPOSITORY = "it is from the repository that the need names"
    PROVIDED_VERSION = "its version of that name is higher"
    VERSION = "it is the higher version"
    PRIORITY = "its provider-priority is higher"
    RELEASE = "its own version is higher"
    NAME = "all else is equal and its name comes first"
    ORDER = "it is listed first"


class Choice(NamedTuple):
    """What apko prefers for a need, and why."""

    package: int
    others: tuple[int, ...]
    """What satisfies the need as well."""
    runner_up: int | None
    """The one of them that it would prefer if the package were not there."""
    reason: PreferenceReason
    """Why the package goes before the runner-up."""


class Preferences:
    """The order of preference, for each name another one."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._candidates = universe.candidates
        self._choices: dict[str, int | None] = {}
        self._ranked: dict[str, dict[int, int]] = {}

    def choice(self, text: str) -> int | None:
        """Return what apko prefers of all that satisfies `text`; None if nothing does."""
        try:
            return self._choices[text]
        except KeyError:
            among = self._among(text)
            found = self.best(text, among, self._universe.constraint(text).pin) if among else None
            self._choices[text] = found
            return found

    def _among(self, text: str) -> tuple[int, ...]:
        among = self._universe.matching(text)
        if self._universe.has_pins:
            among = self._universe.allowed(among, self._universe.constraint(text).pin)
        return among

    def explained(self, text: str) -> Choice | None:
        """Return the choice for `text` and why it was made; None if nothing satisfies it."""
        choice = self.choice(text)
        if choice is None:
            return None
        others = tuple(number for number in dict.fromkeys(self._among(text)) if number != choice)
        if not others:
            return Choice(choice, (), None, PreferenceReason.ONLY)
        need = self._universe.constraint(text)
        next_best = self.best(text, others, need.pin)
        return Choice(
            choice, others, next_best, self.compare(choice, next_best, need.name, need.pin)[1]
        )

    def best(self, text: str, among: Sequence[int], pin: str = "") -> int:
        """Return what apko prefers `among` packages that satisfy `text`."""
        best = among[0]
        if len(among) > 1:
            name = self._universe.constraint(text).name
            if ranks := self._ranks(name):
                return min(among, key=ranks.__getitem__)
            for number in among[1:]:
                if number != best and self.compare(number, best, name, pin)[0] < 0:
                    best = number
        return best

    def is_clear(self, text: str, choice: int) -> bool:
        """Tell whether apko would choose the same if some of the others were not there.

        Its comparison can go in circles.
        """
        name = self._universe.constraint(text).name
        if self._ranks(name):
            return True
        before = True
        for number in self._universe.matching(text):
            if number == choice:
                before = False
                continue
            order, _ = self.compare(choice, number, name)
            if order > 0 or (before and order == 0):
                return False
        return True

    def _ranks(self, name: str) -> dict[int, int]:
        """Return the place of each provider of a name in the order of preference.

        There are none if `compare` may be no order: if only some have a version of the name, if two
        are called the same, if a version is invalid, or if there are tags.
        """
        found = self._ranked.get(name)
        if found is None:
            keys = self._keys(name)
            order = sorted(keys, key=lambda number: self._candidates[number].name)
            order.sort(key=keys.__getitem__, reverse=True)
            found = {number: place for place, number in enumerate(order)}
            self._ranked[name] = found
        return found

    def _keys(self, name: str) -> dict[int, tuple[Version, int, Version]]:
        """Return what the providers of a name are compared by before their own names."""
        universe = self._universe
        given = {number: universe.version_for(number, name) for number in universe.providers(name)}
        names = {self._candidates[number].name for number in given}
        if universe.has_pins or len(names) < len(given):
            return {}
        unversioned = not any(given.values())
        keys: dict[int, tuple[Version, int, Version]] = {}
        for number, text in given.items():
            one = self._candidates[number]
            provided, release = version("0" if unversioned else text), version(one.version)
            if provided is None or release is None:
                return {}
            keys[number] = (provided, one.priority, release)
        return keys

    def compare(self, a: int, b: int, name: str, pin: str = "") -> tuple[int, PreferenceReason]:
        """Return which of two packages apko prefers for `name`, below 0 for `a`, and why.

        This is no order: a provision without a version is equal to all that have one.
        """
        one, other = self._candidates[a], self._candidates[b]
        if (one.pin == pin) != (other.pin == pin):
            return (-1 if one.pin == pin else 1), PreferenceReason.REPOSITORY
        mine, theirs = (self._universe.version_for(number, name) for number in (a, b))
        if mine and theirs and (order := _higher_first(mine, theirs)):
            return order, PreferenceReason.PROVIDED_VERSION
        if one.name == other.name and (order := _higher_first(one.version, other.version)):
            return order, PreferenceReason.VERSION
        if one.priority != other.priority:
            return (-1 if one.priority > other.priority else 1), PreferenceReason.PRIORITY
        if order := _higher_first(one.version, other.version):
            return order, PreferenceReason.RELEASE
        if one.name != other.name:
            return (-1 if one.name < other.name else 1), PreferenceReason.NAME
        return 0, PreferenceReason.ORDER


def _higher_first(a: str, b: str) -> int:
    if a == b:
        return 0
    one, other = version(a), version(b)
    if one is None:
        return 1
    if other is None or one > other:
        return -1
    return 1 if one < other else 0
