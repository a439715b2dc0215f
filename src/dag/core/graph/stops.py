"""What stops packages: needs that only a broken definition might give, or one for elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

from dag.core.graph import digraph
from dag.core.graph.edges import RUN_TIME
from dag.core.graph.installs import Installs
from dag.core.package.model import BrokenDefinition, Need
from dag.core.package.supply import Supply
from dag.errors import UsageError

_T = TypeVar("_T")


class BrokenNeed(NamedTuple):
    """A need of a sound package that only a broken definition might give."""

    package: str
    need: Need
    definition: BrokenDefinition

    def __str__(self) -> str:
        problem = self.definition.problems[0]
        return (
            f"{self.package} needs {self.need.name} at {self.need.file}:{self.need.line}, but the "
            f"definition of that cannot be used, see {problem.file}:{problem.line}"
        )


class BrokenNames:
    """The names that only broken definitions might give."""

    def __init__(self, definitions: Iterable[BrokenDefinition]) -> None:
        """Take the broken definitions."""
        self.definitions = tuple(definitions)
        self._definitions = {
            name: definition
            for definition in self.definitions
            for name in (*definition.names, definition.file)
        }

    def __bool__(self) -> bool:
        return bool(self._definitions)

    def __contains__(self, name: object) -> bool:
        return name in self._definitions

    def find(self, package: str, need: Need, available: Collection[str]) -> BrokenNeed | None:
        """Return the need if it is one of these names, which the caller knows no definition gives.

        `available` are the names that a repository has all the same.
        """
        definition = self._definitions.get(need.name)
        if definition is None or need.name in available:
            return None
        return BrokenNeed(package, need, definition)

    def refusal(self, names: Sequence[str]) -> UsageError | None:
        """Return an error if any of `names`, which are asked for, is one of these."""
        lines = []
        for name in names:
            if (definition := self._definitions.get(name)) is not None:
                problem = definition.problems[0]
                lines.append(
                    f"the definition of {name} cannot be used, see {problem.file}:{problem.line}"
                )
        return (
            UsageError("\n".join(lines), hint="what is wrong there is said above")
            if lines
            else None
        )


FindNeed = Callable[[str, Supply, Need], _T | None]
"""Takes the name of a package, what there is for an environment with it, and a need of it."""


def first_needs(installs: Installs, find: FindNeed[_T]) -> dict[str, _T]:
    """Return what `find` returns for the first need of each package for which it returns anything.

    It is asked with the name of a package and a need of that. This is a need of the package itself,
    or one that something in its environment has at run time.
    """
    behind = _needs_at_run_time(installs, find)
    found: dict[str, _T] = {}
    for unit, package in enumerate(installs.packages):
        supply = installs.supply(unit)
        own = (find(package.name, supply, need) for need in package.environment)
        installed = (behind.get(max(number, ~number)) for number in installs.targets[unit])
        first = next((one for one in chain(own, installed) if one is not None), None)
        if first is not None:
            found[package.name] = first
    return found


def _needs_at_run_time(installs: Installs, find: FindNeed[_T]) -> dict[int, _T]:
    """Return the same for each package that can be installed, with all that it needs at run time."""
    behind: dict[int, _T] = {}
    users: dict[int, list[int]] = {}
    for number, candidate in enumerate(installs.candidates):
        for needed in installs.runtime(number):
            users.setdefault(needed, []).append(number)
        owner = installs.owner(number)
        if owner is not None:
            file, line = installs.packages[owner].file, installs.packages[owner].line
            needs = (Need(text, file, line, RUN_TIME) for text in candidate.depends)
            supply = installs.supply_with(number)
            told = (find(candidate.name, supply, need) for need in needs)
            first = next((one for one in told if one is not None), None)
            if first is not None:
                behind[number] = first
    queue = list(behind)
    for number in queue:  # grows while it is walked
        for user in users.get(number, ()):
            if user not in behind:
                behind[user] = behind[number]
                queue.append(user)
    return behind


def refuse_needs(needs: Iterable[object]) -> None:
    """Refuse what is asked for, if something of it has needs that nothing can give.

    Raises:
        UsageError: there are such needs.

    """
    if lines := [str(need) for need in needs]:
        more = f"\nand {len(lines) - 10} more" if len(lines) > 10 else ""
        raise UsageError("\n".join(lines[:10]) + more)


def stopped_units(installs: Installs, starts: Collection[int], closed: Collection[int]) -> set[int]:
    """Return the units `starts` and all that need them, also at run time, at any depth.

    The units `closed` are there already, so that nothing follows from what they need.
    """
    count = len(installs.packages)
    for number in range(len(installs.candidates)):
        installs.runtime(number)  # after this, what is external is among the candidates, too
    users: list[list[int]] = [[] for _ in range(count + len(installs.candidates))]
    """By unit, then by package: who needs it."""
    for unit in range(count):
        for number in installs.targets[unit] if unit not in closed else ():
            if number >= 0:
                users[count + number].append(unit)
            elif (owner := installs.owner(~number)) is not None:
                users[owner].append(unit)
    for number in range(len(installs.candidates)):
        owner = installs.owner(number)
        if owner in closed:
            continue
        if owner is not None:
            users[owner].append(count + number)
        for needed in installs.runtime(number):
            users[count + needed].append(count + number)
    return {node for node in digraph.reachable(users, starts) if node < count}
