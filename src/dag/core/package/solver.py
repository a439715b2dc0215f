"""What an environment installs: apko's algorithm, step by step.

Ported from the behaviour of apko 1.2.21 (pkg/apk/apk/repo.go: GetPackagesWithDependencies and what
it calls). It never takes a choice back: what it chose first decides what is left for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import NoReturn

from dag.core.package.candidates import Wanted
from dag.core.package.exclusion import BadConstraint, Excluded, quoted, refused
from dag.core.package.outcome import ExclusionReason, GaveUp, InstallCause, Installed
from dag.core.package.resolver import Resolver

MOST_STEPS = 10_000_000
"""How many needs and packages are looked at for one environment; real ones take a few thousand."""


class _Failed(Exception):
    def __init__(
        self, constraint: str, text: str, excluded: Iterable[ExclusionReason] = ()
    ) -> None:
        super().__init__(text)
        self.constraint = constraint
        self.text = text
        self.excluded = tuple(excluded)


def _bad(bad: BadConstraint, doing: str) -> _Failed:
    why = f"{doing}: parsing constraint {quoted(bad.text)}: {refused(bad.version)}"
    return _Failed(bad.text, why)


class _Visit:
    """A package whose needs are being looked for."""

    __slots__ = ("chosen", "first", "need", "package", "remaining")

    def __init__(self, package: int, need: str, first: int, remaining: Sequence[Wanted]) -> None:
        self.package = package
        self.need = need
        self.first = first
        """Where in the list of what was found its own dependencies begin."""
        self.chosen: list[int] = []
        """What was chosen for its own needs."""
        self.remaining = remaining


def install(resolver: Resolver, needs: Sequence[str]) -> Installed | GaveUp:
    """Find what apko installs for `needs`, in their order."""
    return _Solver(resolver).solve(needs)


class _Solver:
    def __init__(self, resolver: Resolver) -> None:
        self._universe = resolver.universe
        self._preferences = resolver.preferences
        self._exclusions = resolver.exclusions
        self._candidates = resolver.candidates
        self._out: dict[int, Excluded] = {}
        """The packages that are disqualified, and why."""
        self._selected: dict[str, int] = {}
        """Name → the package that was taken for it, once its own needs were looked for."""
        self._installed: dict[str, int] = {}
        """Name → the package of that name that the environment has already."""
        self._installed_origins: dict[str, str] = {}
        """Origin → the version of what it has in the environment already."""
        self._causes: dict[int, InstallCause] = {}
        self._visits: list[_Visit] = []
        self._steps = 0
        self._start("")

    def _start(self, pin: str) -> None:
        """Forget what concerned the last need of the environment alone."""
        self._pin = pin
        self._path: set[str] = set()
        self._existing: dict[str, int] = {}
        """As `_installed`, and before it."""
        self._origins: dict[str, str] = {}
        self._found: list[int] = []
        self._first_named: dict[str, int] = {}
        self._first_version: dict[str, str] = {}
        self._ambiguous = False

    def solve(self, needs: Sequence[str]) -> Installed | GaveUp:
        """Find what is installed for `needs`; for one time only."""
        installed: dict[str, int] = {}
        head = ""
        try:
            self._constrain(needs)
            self._take(needs)
            for number in self._installed.values():
                self._remember_origin(number, self._installed_origins)
            for text in needs:
                head = f"solving {quoted(text)} constraint: "
                package = self._choose(text)
                if package not in self._causes:
                    self._causes[package] = InstallCause(text, None)
                for one in (*self._dependencies(package, text), package):
                    name = self._candidates[one].name
                    installed.setdefault(name, one)
                    if name not in self._installed:
                        self._installed[name] = one
                        self._remember_origin(one, self._installed_origins)
        except _Failed as failed:
            return self._gave_up(failed, head)
        causes = {number: self._causes[number] for number in installed.values()}
        return Installed(packages=tuple(installed.values()), causes=causes)

    def _gave_up(self, failed: _Failed, head: str) -> GaveUp:
        lines = [head]
        for place, visit in enumerate(self._visits):
            if place:
                name = self._universe.constraint(visit.need).name
                lines.append(f"solving {quoted(name)} constraint: ")
            lines.append(f"resolving {quoted(self._candidates[visit.package].file)} deps:\n")
        return GaveUp(
            constraint=failed.constraint,
            by=tuple(visit.package for visit in self._visits),
            excluded=failed.excluded,
            there=tuple(self._universe.offered(failed.constraint)),
            message="".join([*lines, failed.text]),
        )

    def _remember_origin(self, number: int, origins: dict[str, str]) -> None:
        one = self._candidates[number]
        if one.origin:
            origins[one.origin] = one.version

    def _constrain(self, needs: Iterable[str]) -> None:
        """Disqualify what the needs of the environment rule out."""
        for text in needs:
            try:
                excluded = self._exclusions.of_need(text)
            except BadConstraint as bad:
                raise _bad(bad, "constraining initial packages") from bad
            self._rule_out(excluded, is_conflict=text[:1] == "!")

    def _take(self, needs: Sequence[str]) -> None:
        """Choose for each need of the environment, the one with the fewest candidates first."""
        order = {text: place for place, text in enumerate(dict.fromkeys(needs))}
        users: dict[int, list[str]] = {}
        for text in order:
            for number in self._universe.matching(text):
                users.setdefault(number, []).append(text)
        sizes: dict[str, int] = {}
        changed: Iterable[str] = order
        fewest: list[tuple[int, int, str]] = []
        while True:
            for text in sorted(changed, key=order.__getitem__):
                sizes[text] = len(self._left(text, self._universe.constraint(text).pin))
                if not sizes[text]:
                    self._refuse(text)
                heappush(fewest, (sizes[text], order[text], text))
            while fewest and sizes.get(fewest[0][2]) != fewest[0][0]:
                heappop(fewest)  # done, or of another size now
            if not fewest:
                return
            text = heappop(fewest)[2]
            package = self._choose(text)
            self._installed[self._candidates[package].name] = package
            del sizes[text]
            excluded = self._exclude(self._exclusions.of_package(package))
            changed = {user for one in excluded for user in users.get(one, ()) if user in sizes}

    def _choose(self, text: str) -> int:
        """Choose for a need of the environment itself."""
        pin = self._universe.constraint(text).pin
        among = self._left(text, pin)
        if not among:
            self._refuse(text)
        return self._preferences.best(text, among, pin)

    def _left(self, text: str, pin: str) -> Sequence[int]:
        """Return what satisfies a need and is not disqualified."""
        among: Sequence[int] = self._universe.matching(text)
        if not self._out.keys().isdisjoint(among):
            among = [number for number in among if number not in self._out]
        if self._universe.has_pins:
            among = self._universe.allowed(among, pin)
        return among

    def _refuse(self, text: str) -> NoReturn:
        name = self._universe.constraint(text).name
        providers = self._universe.providers(name)
        out = [self._out[one] for one in providers if one in self._out]
        excluded = [ExclusionReason(one.package, self._exclusions.reason(one)) for one in out]
        why = "\n".join(
            f"  {self._candidates[one.package].file} disqualified because {one.why}"
            for one in excluded
        )
        why = why or ("not in indexes" if providers else f"nothing provides {quoted(name)}")
        raise _Failed(text, f"solving {quoted(text)} constraint: {why}", excluded)

    def _exclude(self, several: Iterable[Excluded]) -> list[int]:
        """Disqualify packages, and return those that were not before."""
        new = []
        for one in several:
            if one.package not in self._out:
                self._out[one.package] = one
                new.append(one.package)
        return new

    def _rule_out(self, several: Iterable[Excluded], *, is_conflict: bool) -> None:
        if is_conflict:
            self._exclude(several)
        else:
            for one in several:
                self._out[one.package] = one  # with the later reason

    def _dependencies(self, package: int, text: str) -> list[int]:
        """Find all that `package`, chosen for `text`, needs at run time: one package a name."""
        if not self._candidates[package].depends:
            return []
        self._start(self._universe.constraint(text).pin)
        self._enter(package, text)
        while self._visits:
            visit = self._visits[-1]
            need = self._next(visit)
            if need is None:
                self._leave()
                continue
            text, among = need
            chosen = among[0] if len(among) == 1 else self._preferred(text, among)
            if chosen not in self._causes:
                self._causes[chosen] = InstallCause(text, visit.package)
            if rivals := self._exclusions.of_package(chosen):
                self._exclude(rivals)
            if not visit.chosen:
                self._pick(visit.package)
            one = self._candidates[chosen]
            if one.depends and one.name not in self._path:
                self._enter(chosen, text)
            else:  # it needs nothing, or is being looked after already: a circle
                self._add(chosen)
        added: dict[str, int] = {}
        for number in self._found:
            added.setdefault(self._candidates[number].name, number)
        if self._universe.triggers:
            self._install_if(added)
        return list(added.values())

    def _enter(self, package: int, need: str) -> None:
        self._path.add(self._candidates[package].name)
        wanted = self._universe.wanted(package)
        self._visits.append(_Visit(package, need, len(self._found), wanted))
        try:
            rules = self._exclusions.of_needs(package)
        except BadConstraint as bad:
            raise _bad(bad, "constraining deps") from bad
        for rule in rules:
            self._rule_out(rule.excluded, is_conflict=rule.is_conflict)

    def _leave(self) -> None:
        visit = self._visits.pop()
        self._path.remove(self._candidates[visit.package].name)
        # Only what is new can change what is there, unless a name or origin is there twice.
        new = self._found[visit.first :] if self._ambiguous else visit.chosen
        self._count(len(new), visit.need)
        for number in new:
            self._existing[self._candidates[number].name] = number
            self._remember_origin(number, self._origins)
        if self._visits:
            self._add(visit.package)

    def _count(self, steps: int, text: str) -> None:
        """Count steps: what nobody would publish must not take forever."""
        self._steps += steps
        if self._steps > MOST_STEPS:
            raise _Failed(
                text, f"not found in {MOST_STEPS:,} steps, which no real environment takes"
            )

    def _add(self, number: int) -> None:
        one = self._candidates[number]
        self._visits[-1].chosen.append(number)
        self._found.append(number)
        if self._first_named.setdefault(one.name, number) != number:
            self._ambiguous = True
        if self._first_version.setdefault(one.origin, one.version) != one.version:
            self._ambiguous = True

    def _next(self, visit: _Visit) -> tuple[str, Sequence[int]] | None:
        """Find the need with the fewest candidates; what was selected already needs none."""
        self._count(len(visit.remaining), visit.need)
        selected, ruled_out = self._selected, self._out.keys()
        has_pins = self._universe.has_pins
        remaining: list[Wanted] = []
        least: tuple[int, str] | None = None
        fewest: Sequence[int] = ()
        for need in visit.remaining:
            text, name, matching = need
            if name in selected:
                if why := self._exclusions.misfit(selected[name], text):
                    raise _Failed(text, why)
                continue
            among: Sequence[int] = matching
            if not ruled_out.isdisjoint(matching):
                among = [number for number in matching if number not in ruled_out]
            if has_pins:
                among = self._universe.allowed(among, self._pin, self._there(name))
            if not among:
                self._refuse(text)
            remaining.append(need)
            size = (len(among), text)
            if least is None or size < least:
                least, fewest = size, among
        if least is None:
            visit.remaining = ()
            return None
        text = least[1]
        visit.remaining = [need for need in remaining if need.text != text]
        return text, fewest

    def _preferred(self, text: str, among: Sequence[int]) -> int:
        """Choose of several: what is there, then what has an origin that is there."""
        among = [number for number in among if self._is_there(number)] or among
        among = [number for number in among if self._has_origin(number)] or among
        return self._preferences.best(text, among)

    def _there(self, name: str) -> int | None:
        return self._existing.get(name, self._installed.get(name))

    def _is_there(self, number: int) -> bool:
        one = self._candidates[number]
        other = self._there(one.name)
        return other is not None and self._candidates[other].version == one.version

    def _has_origin(self, number: int) -> bool:
        _, release, origin, *_ = self._candidates[number]
        there = self._origins.get(origin, self._installed_origins.get(origin, ""))
        return bool(origin) and there == release

    def _pick(self, package: int) -> None:
        """Select a package, now that its needs are looked for."""
        one = self._candidates[package]
        if one.name in self._selected:
            if self._selected[one.name] != package:
                self._clash(package, one.name)
            return
        self._selected[one.name] = package
        for provision in map(self._universe.constraint, one.provides):
            if provision.name in self._selected:
                self._clash(package, provision.name)
            if provision.version:
                self._selected[provision.name] = package

    def _clash(self, package: int, name: str) -> NoReturn:
        files = [self._candidates[one].file for one in (package, self._selected[name])]
        what = f"selecting package {files[0]} conflicts with {files[1]} on {quoted(name)}"
        raise _Failed(self._visits[-1].need, what)

    def _install_if(self, added: dict[str, int]) -> None:
        """Add the packages whose conditions are met by what was added."""
        triggers = self._universe.triggers
        names = list(added)
        for name in names:
            exact = f"{name}={self._candidates[added[name]].version}"
            for number in triggers.get(name) or triggers.get(exact) or ():
                one = self._candidates[number]
                if one.name not in added and all(self._met(added, text) for text in one.install_if):
                    added[one.name] = number
                    self._causes.setdefault(number, InstallCause(name, added[name]))
                    names.append(one.name)

    def _met(self, added: dict[str, int], text: str) -> bool:
        if text in added:
            return True
        condition = self._universe.constraint(text)
        number = added.get(condition.name)
        return number is not None and self._candidates[number].version == condition.version
