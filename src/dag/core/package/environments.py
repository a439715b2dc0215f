"""What many environments install, decided together.

apko's algorithm (`dag.core.package.solver`) goes from choice to choice, and each can depend on all
before it. In most environments none does: each need gets what apko prefers of all that satisfies
it, and what is installed is what follows from these choices. An environment is called *plain* if
nothing in that set can have changed a choice, that is, if the set has none of

- what a constraint, a conflict, or a provided name of something in the set rules out,
- what would have satisfied a need as well, or has the origin and version of such a package: apko
  prefers what is there, then what has an origin that is there,
- what apko stumbles over: it is odd.

These are *rivals* of the set. Both are unions over the packages that are reached, so they are found
once for each strongly connected component of the run-time needs. Only what is not plain goes
through the algorithm itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dag.core.package.components import components
from dag.core.package.constraints import SATISFIES, is_version, simple_constraint, version
from dag.core.package.exclusion import MANY, BadConstraint
from dag.core.package.outcome import GaveUp, Installed
from dag.core.package.resolver import Resolver
from dag.core.package.solver import install

_ODD = -1
"""A member of every set, and the rival that makes an environment odd."""
_BITS = 1024
_MEMBER = 1 << _BITS
_ROOM = 1_000_000
"""How many blocks of bits are kept, of 300 bytes at most; what would take more is odd."""

_Marks = dict[int, int]
"""The members and rivals of a set of packages, as far as they are a rival to any: blocks of bits.

A block has the rivals in its lower `_BITS` and the members above. Only blocks that have some are
there, because what is rival to each other is mostly close together.
"""
_Rivals = frozenset[int]
_NOTHING: _Rivals = frozenset()
_ODDITY: _Rivals = frozenset([_ODD])


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """All that was decided about the environments of a directory, for whoever asks again."""

    choices: dict[str, int | None]
    """Need → what apko prefers of all that satisfies it."""
    runtime: dict[int, tuple[int, ...]]
    """Package → what is preferred for its needs at run time."""
    components: Sequence[Sequence[int]]
    """All packages that these lead to, those that need each other together."""
    plain: list[bool]
    """By environment, whether it installs just what these lead to."""
    installed: dict[int, frozenset[int]]
    """What an environment installs that is not plain."""
    refused: dict[int, GaveUp]
    """Where apko gives up at an environment that is not plain."""


class _Need:
    """A need, whoever has it."""

    __slots__ = ("choice", "marks", "rivals")

    def __init__(self, choice: int | None, rivals: _Rivals) -> None:
        self.choice = choice
        self.rivals = rivals
        self.marks: _Marks | None = None
        """Those of the choice and the rivals; None if there are none."""


class Environments:
    """The environments of a directory."""

    def __init__(
        self,
        resolver: Resolver,
        worlds: Sequence[Sequence[str]],
        decided: Decisions | None = None,
    ) -> None:
        """Judge each of `worlds`: the needs of an environment, as written, in their order.

        `decided` is what was found before for the very same packages and worlds.
        """
        self._resolver = resolver
        self._candidates = resolver.candidates
        self._worlds = worlds
        self._needs: dict[str, _Need] = {}
        self._alone: dict[int, _Need] = {}
        """The needs that only one package can satisfy, whatever their texts."""
        self._runtime: dict[int, tuple[int, ...]] = {}
        self._rivals: dict[int, _Rivals] = {}
        self._relatives: dict[tuple[str, str], list[int]] | None = None
        self._places: dict[int, int] = {_ODD: 0}
        """Package that is a rival to any → its place in `_Marks`."""
        self._found: dict[int, frozenset[int] | GaveUp] = {}
        if decided is not None:
            self._needs = {
                text: _Need(choice, _NOTHING) for text, choice in decided.choices.items()
            }
            self._runtime = decided.runtime
            self._found = {**decided.installed, **decided.refused}
        get, need = self._needs.get, self._need
        self._rows = [[get(text) or need(text) for text in world] for world in worlds]
        if decided is not None:
            self.components = decided.components
            self._plain = decided.plain
            return
        chosen = [one.choice for one in self._needs.values() if one.choice is not None]
        self.components = components(chosen, self._look)
        """All packages that `choice` and `runtime` lead to from any environment.

        Those that need each other are together, after those that they need.
        """
        self._plain = self._judged()

    def decisions(self) -> Decisions:
        """Return all that is decided here, so that it need not be found again."""
        uneven = [place for place, plain in enumerate(self._plain) if not plain]
        found = {place: self.install(place) for place in uneven}
        return Decisions(
            choices={text: need.choice for text, need in self._needs.items()},
            runtime=self._runtime,
            components=self.components,
            plain=self._plain,
            installed={p: one for p, one in found.items() if not isinstance(one, GaveUp)},
            refused={p: one for p, one in found.items() if isinstance(one, GaveUp)},
        )

    def choice(self, text: str) -> int | None:
        """Return what apko prefers of all that satisfies `text`; None if nothing does."""
        return self._need(text).choice

    def chosen(self, place: int) -> list[int]:
        """Return what `choice` gives for the needs of an environment, in their order."""
        return [need.choice for need in self._rows[place] if need.choice is not None]

    def runtime(self, number: int) -> tuple[int, ...]:
        """Return what is preferred for each need that a package has of others at run time.

        A need that nothing satisfies is left out; no environment with this package is plain.
        """
        found = self._runtime.get(number)
        return self._look(number) if found is None else found

    def is_plain(self, place: int) -> bool:
        """Tell whether an environment installs exactly what `choice` and `runtime` lead to."""
        return self._plain[place]

    def install(self, place: int) -> frozenset[int] | GaveUp:
        """Return what the environment at `place` installs, or where apko gives up."""
        if self._plain[place]:
            return self.reached(place)
        found = self._found.get(place)
        if found is None:
            outcome = install(self._resolver, self._worlds[place])
            found = frozenset(outcome.packages) if isinstance(outcome, Installed) else outcome
            self._found[place] = found
        return found

    def reached(self, place: int) -> frozenset[int]:
        """Return what `choice` and `runtime` lead to from the needs of the environment."""
        runtime = self._runtime
        choices = (need.choice for need in self._rows[place])
        found = {number for number in choices if number is not None}
        stack = list(found)
        while stack:
            for number in runtime[stack.pop()]:
                if number not in found:
                    found.add(number)
                    stack.append(number)
        return frozenset(found)

    def _need(self, text: str) -> _Need:
        """Return what is preferred for a need, and the rivals of that choice."""
        found = self._needs.get(text)
        if found is None:
            only = self._only(text)
            if only is None:
                choice = self._resolver.preferences.choice(text)
                rivals = _ODDITY if choice is None else self._kept(self._of_need(text, choice))
                found = _Need(choice, rivals)
            else:
                found = self._alone.get(only)
                if found is None:
                    found = self._alone[only] = _Need(only, _NOTHING)
            self._needs[text] = found
        return found

    def _only(self, text: str) -> int | None:
        """Return the package that satisfies a need if nothing else has that name at all.

        Most needs are of this kind, so this is the short way.
        """
        only = self._resolver.universe.only
        number = only.get(text)
        if number is not None:
            return number
        match = simple_constraint(text)
        if match is None:
            return None
        name, sign, required = match.groups()
        number = only.get(name)
        if number is None:
            return None
        own, other = version(self._candidates[number].version), version(required)
        return number if own and other and SATISFIES[sign](own, other) else None

    def _kept(self, rivals: Iterable[int]) -> _Rivals:
        kept = frozenset(rivals)
        for number in kept:
            if number not in self._places:
                self._places[number] = len(self._places)
        return kept or _NOTHING

    def _of_need(self, text: str, choice: int) -> list[int]:
        universe, exclusions = self._resolver.universe, self._resolver.exclusions
        need = universe.constraint(text)
        if len(universe.providers(need.name)) > MANY:
            return [_ODD]
        rivals: list[int] = []
        if need.version:
            if exclusions.misfit(choice, text) and choice < universe.listed:
                rivals.append(_ODD)
            try:
                rivals += exclusions.unsatisfying(text)
            except BadConstraint:
                rivals.append(_ODD)
        matching = universe.matching(text)
        if len(matching) > 1:
            if not self._resolver.preferences.is_clear(text, choice):
                rivals.append(_ODD)
            for number in dict.fromkeys(matching):
                if number != choice:
                    rivals += self._preferred_before(number, choice)
        return rivals

    def _preferred_before(self, number: int, choice: int) -> Iterable[int]:
        """Find what would make apko prefer a package to the choice, if it were there."""
        one, chosen = self._candidates[number], self._candidates[choice]
        namesakes = self._resolver.universe.named(one.name)
        found = [
            twin
            for twin in namesakes
            if twin != choice and self._candidates[twin].version == one.version
        ]
        if one.origin and (one.origin, one.version) != (chosen.origin, chosen.version):
            found += self._related(one.origin, one.version)
        return found

    def _related(self, origin: str, release: str) -> Sequence[int]:
        if self._relatives is None:
            self._relatives = {}
            for number in self._resolver.universe.numbers:
                one = self._candidates[number]
                self._relatives.setdefault((one.origin, one.version), []).append(number)
        return self._relatives[origin, release]

    def _look(self, number: int) -> tuple[int, ...]:
        """Find what a package needs, and its rivals and those of its needs."""
        if self._is_simple(number):
            self._runtime[number] = ()
            return ()
        rivals = self._of_package(number)
        found: tuple[int, ...] = ()
        if wanted := self._candidates[number].depends and self._resolver.universe.wanted(number):
            needs = [self._need(want.text) for want in wanted]
            for need in needs:
                rivals += need.rivals
            found = tuple(dict.fromkeys(need.choice for need in needs if need.choice is not None))
        if rivals:
            self._rivals[number] = self._kept(rivals)
        self._runtime[number] = found
        return found

    def _is_simple(self, number: int) -> bool:
        """Tell whether a package has no rivals and no needs, as far as that is seen quickly."""
        one = self._candidates[number]
        universe = self._resolver.universe
        return not (
            one.depends
            or one.provides
            or universe.triggers
            or one.name not in universe.only
            or not is_version(one.version)
        )

    def _of_package(self, number: int) -> list[int]:
        exclusions = self._resolver.exclusions
        if exclusions.is_odd(number):
            return [_ODD]
        one = self._candidates[number]
        rivals: list[int] = []
        if one.name not in self._resolver.universe.only:
            namesakes = self._resolver.universe.named(one.name)
            rivals += [twin for twin in namesakes if twin != number]
        if one.provides:
            rivals += [excluded.package for excluded in exclusions.of_package(number)]
        if one.depends:
            try:
                for rule in exclusions.of_needs(number):
                    rivals += [excluded.package for excluded in rule.excluded]
            except BadConstraint:
                rivals.append(_ODD)
        return rivals

    def _judged(self) -> list[bool]:
        """Tell the plain environments from the others."""
        if self._resolver.universe.has_pins:
            return [False] * len(self._worlds)
        by_package = self._marked()
        if not by_package and not any(need.rivals for need in self._needs.values()):
            return [True] * len(self._worlds)
        for need in self._needs.values():
            marks = None if need.choice is None else by_package.get(need.choice)
            if need.rivals:
                marks = dict(marks or {})
                self._mark(marks, need.rivals, 1)
            need.marks = marks
        return [_is_plain(row) for row in self._rows]

    def _marked(self) -> dict[int, _Marks]:
        """Find the marks of each package, those of all that it needs included."""
        found: dict[int, _Marks] = {}
        places, room = self._places, _ROOM
        if len(places) == 1 and not self._rivals:
            return found
        for component in self.components:
            marks: _Marks = {}
            for number in component:
                if number in places:
                    self._mark(marks, (number,), _MEMBER)
                if number in self._rivals:
                    self._mark(marks, self._rivals[number], 1)
                for need in self._runtime[number]:
                    if need in found:
                        _add(marks, found[need])
            if marks:
                room -= len(marks)
                found.update(dict.fromkeys(component, marks if room > 0 else {0: 1}))
        return found

    def _mark(self, marks: _Marks, numbers: Iterable[int], unit: int) -> None:
        for number in numbers:
            block, bit = divmod(self._places[number], _BITS)
            marks[block] = marks.get(block, 0) | unit << bit


def _add(marks: _Marks, others: _Marks) -> None:
    for block, bits in others.items():
        marks[block] = marks.get(block, 0) | bits


def _is_plain(needs: Iterable[_Need]) -> bool:
    """Tell whether no member is a rival."""
    found: _Marks = {0: _MEMBER}
    for need in needs:
        if need.marks is not None:
            for block, bits in need.marks.items():
                found[block] = found.get(block, 0) | bits
    return not any(bits >> _BITS & bits for bits in found.values())
