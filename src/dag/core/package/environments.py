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

from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from msgspec import Struct

from dag.core.components import strongly_connected
from dag.core.package.candidates import Candidate
from dag.core.package.constraints import (
    SATISFIES,
    Version,
    is_version,
    simple_constraint,
    version,
)
from dag.core.package.exclusion import MANY, BadConstraint
from dag.core.package.locking import install_environment
from dag.core.package.marks import EVERYWHERE, MEMBER, ODD, RIVAL, Marks, join, mark, without_rivals
from dag.core.package.outcome import GaveUp, Installed
from dag.core.package.resolver import Resolver

_ODD = -1
"""A member of every set, and the rival that makes an environment odd."""
_ROOM = 1_000_000
"""How many blocks of bits are kept, of 300 bytes at most; what would take more is odd."""

_Rivals = frozenset[int]
_NOTHING: _Rivals = frozenset()
_ODDITY: _Rivals = frozenset([_ODD])


class Decisions(Struct, frozen=True, kw_only=True):
    """All that was decided about the environments of a directory, for whoever asks again."""

    choices: dict[str, int]
    """Need → what apko prefers of all that satisfies it; -1 if nothing does."""
    runtime: dict[int, tuple[int, ...]]
    """Package → what is preferred for its needs at run time."""
    components: Sequence[Sequence[int]]
    """Those of them that need others, those that need each other together."""
    plain: list[bool]
    """By environment, whether it installs just what these lead to."""
    installed: dict[int, frozenset[int]]
    """What an environment installs that is not plain."""
    refused: dict[int, GaveUp]
    """Where apko gives up at an environment that is not plain."""
    externals: list[str]
    """What some need and nobody has, in the order of the numbers."""


class _Contested(NamedTuple):
    """A need whose choice has rivals, or that nothing satisfies."""

    choice: int
    """-1 if nothing satisfies the need."""
    rivals: _Rivals


_NEVER = _Contested(-1, _ODDITY)


class _Preferred(dict[str, int]):
    """Need → the package that is preferred, or `~` of the place of a contested need.

    There are a million needs in a large directory, so a need is a number as soon as it is known.
    """

    def __init__(self, known: dict[str, int], find: Callable[[str], int]) -> None:
        super().__init__(known)
        self._find = find

    def __missing__(self, text: str) -> int:
        found = self[text] = self._find(text)
        return found


class Environments:
    """The environments of a directory."""

    def __init__(
        self,
        resolver: Resolver,
        worlds: Iterable[Sequence[str]],
        decided: Decisions | None = None,
    ) -> None:
        """Judge each of `worlds`: the needs of an environment, as written, in their order.

        `decided` is what was found before for the very same packages and worlds.
        """
        self._resolver = resolver
        self._candidates = resolver.candidates
        self._first = resolver.universe.numbers.start
        self._worlds: list[Sequence[str]] = []
        self._contested = [_NEVER]
        self._runtime: dict[int, tuple[int, ...]] = {}
        self._rivals: dict[int, _Rivals] = {}
        self._places: dict[int, int] = {_ODD: EVERYWHERE}
        """Package that is a rival to any → its place in `Marks`."""
        self._found: dict[int, frozenset[int] | GaveUp] = {}
        if decided:
            self._runtime = decided.runtime
            self._found = {**decided.installed, **decided.refused}
            for name in decided.externals:
                resolver.universe.catalogue.external(name)
        self._preferred = _Preferred(decided.choices if decided else {}, self._find)
        preferred = self._preferred.__getitem__
        self._rows: list[array[int]] = []
        for world in worlds:  # one by one, so that each text is read while it is at hand
            self._worlds.append(world)
            self._rows.append(array("i", map(preferred, world)))
        self.components = decided.components if decided else self._explore(self._chosen())
        """Reached packages that need others, as for `Decisions`, after those that they need."""
        self._plain = decided.plain if decided else self._judged()

    def decisions(self) -> Decisions:
        """Return all that is decided here, so that it need not be found again."""
        uneven = [place for place, plain in enumerate(self._plain) if not plain]
        found = {place: self.install(place) for place in uneven}
        contested = self._contested
        return Decisions(
            choices={
                text: one if one >= 0 else contested[~one].choice
                for text, one in self._preferred.items()
            },
            runtime=self._runtime,
            components=self.components,
            plain=self._plain,
            installed={p: one for p, one in found.items() if not isinstance(one, GaveUp)},
            refused={p: one for p, one in found.items() if isinstance(one, GaveUp)},
            externals=[one.name for one in self._candidates[self._resolver.universe.listed :]],
        )

    def choice(self, text: str) -> int | None:
        """Return what apko prefers of all that satisfies `text`; None if nothing does."""
        number = self._preferred[text]
        if number < 0:
            number = self._contested[~number].choice
        return number if number >= 0 else None

    def chosen(self, place: int) -> Sequence[int]:
        """Return what `choice` gives for the needs of an environment, in their order."""
        row, contested = self._rows[place], self._contested
        if min(row, default=0) >= 0:
            return row
        choices = [one if one >= 0 else contested[~one].choice for one in row if one != ~0]
        return array("i", choices)

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
            outcome = install_environment(self._resolver, self._worlds[place])
            found = frozenset(outcome.packages) if isinstance(outcome, Installed) else outcome
            self._found[place] = found
        return found

    def reached(self, place: int) -> frozenset[int]:
        """Return what `choice` and `runtime` lead to from the needs of the environment."""
        runtime = self._runtime
        found = set(self.chosen(place))
        stack = list(found)
        while stack:
            for number in runtime[stack.pop()]:
                if number not in found:
                    found.add(number)
                    stack.append(number)
        return frozenset(found)

    def _find(self, text: str) -> int:
        """Return what `_Preferred` has for a need."""
        only = self._only(text)
        if only is not None:
            return only
        choice = self._resolver.preferences.choice(text)
        if choice is None:
            return ~0
        rivals = self._kept(self._of_need(text, choice))
        if not rivals:
            return choice
        self._contested.append(_Contested(choice, rivals))
        return ~(len(self._contested) - 1)

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
        own, other = self._versions[number - self._first], version(required)
        return number if own and other and SATISFIES[sign](own, other) else None

    @cached_property
    def _versions(self) -> list[Version | None]:
        """Return the version of each package, in their order: as they lie in memory, at once."""
        candidates = self._candidates
        return [version(candidates[number][1]) for number in self._resolver.universe.numbers]

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
        rivals: list[int] = [_ODD] if need.pin else []
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
            siblings = self._by_origin[one.origin]
            found += (other for other in siblings if self._candidates[other].version == one.version)
        return found

    @cached_property
    def _by_origin(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number in self._resolver.universe.numbers:
            found.setdefault(self._candidates[number].origin, []).append(number)
        return found

    def _chosen(self) -> set[int]:
        """Return all that is preferred for any need."""
        found = {number for number in self._preferred.values() if number >= 0}
        found.update(one.choice for one in self._contested[1:])
        return found

    def _explore(self, numbers: Iterable[int]) -> Sequence[Sequence[int]]:
        """Look at packages and all that they need; return the components of those that need any."""
        queue = sorted(numbers)  # in the order in which they lie in memory
        needing: dict[int, int] = {}
        for number in queue:  # grows while it is walked
            if number not in self._runtime and (needed := self._look(number)):
                needing[number] = len(needing)
                queue += needed
        runtime, members = self._runtime, list(needing)
        successors = [[needing[one] for one in runtime[m] if one in needing] for m in members]
        return [[members[place] for place in one] for one in strongly_connected(successors)]

    def _look(self, number: int) -> tuple[int, ...]:
        """Find what a package needs, and its rivals and those of its needs."""
        universe, one = self._resolver.universe, self._candidates[number]
        if self._is_alone(one) and not (one.provides or universe.triggers):
            # So it is no rival, except by its needs.
            needs = [self._preferred[text] for text in one.depends]
            if min(needs, default=0) >= 0 and number not in needs and is_version(one.version):
                self._runtime[number] = simple = tuple(dict.fromkeys(needs))
                return simple
        rivals = self._of_package(number)
        found: dict[int, None] = {}
        if wanted := self._candidates[number].depends and self._resolver.universe.wanted(number):
            for want in wanted:
                need = self._preferred[want.text]
                if need >= 0:
                    found[need] = None
                    continue
                contested = self._contested[~need]
                rivals += contested.rivals
                if contested.choice >= 0:
                    found[contested.choice] = None
        if rivals:
            self._rivals[number] = self._kept(rivals)
        self._runtime[number] = needed = tuple(found)
        return needed

    def _is_alone(self, one: Candidate) -> bool:
        """Tell whether no other package has or provides its name, which is no library's."""
        return one.name in self._resolver.universe.only and one.name[:3] != "so:"

    def _of_package(self, number: int) -> list[int]:
        exclusions = self._resolver.exclusions
        if exclusions.is_odd(number):
            return [_ODD]
        one = self._candidates[number]
        rivals: list[int] = []
        if not self._is_alone(one):
            namesakes = self._resolver.universe.named(one.name)
            rivals += [twin for twin in namesakes if twin != number]
            if self._resolver.preferences.choice(f"{one.name}={one.version}") != number:
                rivals.append(_ODD)  # it would not be taken again where it is locked
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
        marks = self._marked()
        for place, need in enumerate(self._contested):
            marks[~place] = {**marks.get(need.choice, {})}
            mark(marks[~place], self._places_of(need.rivals), RIVAL)
        return without_rivals(self._rows, marks)

    def _marked(self) -> dict[int, Marks]:
        """Find the marks of each package, those of all that it needs included."""
        found: dict[int, Marks] = {}
        room = _ROOM

        def keep(members: Iterable[int], marks: Marks) -> None:
            nonlocal room
            room -= len(marks)
            found.update(dict.fromkeys(members, marks if room > 0 else ODD))

        for number in sorted((self._places.keys() | self._rivals.keys()) - {_ODD}):
            marks: Marks = {}
            if number in self._places:
                mark(marks, self._places_of((number,)), MEMBER)
            mark(marks, self._places_of(self._rivals.get(number, _NOTHING)), RIVAL)
            keep((number,), marks)
        for component in self.components if found else ():
            marks = {}
            for number in component:
                for one in (number, *self._runtime[number]):
                    if one in found:
                        join(marks, found[one])
            if marks:
                keep(component, marks)
        return found

    def _places_of(self, numbers: Iterable[int]) -> Iterable[int]:
        return map(self._places.__getitem__, numbers)
