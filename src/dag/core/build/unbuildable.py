"""Packages that cannot be built, because something that they need can never be there.

That is what only a broken definition might give, and what a definition gives that is for another
architecture, needed by the build itself or by something in its environment at run time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct, field

from dag.core.arch import Arch
from dag.core.build.needs import Needs
from dag.core.graph.edges import RUN_TIME
from dag.core.graph.foreign import foreign_need
from dag.core.graph.graph import Graph
from dag.core.package.model import Need, Package
from dag.core.package.supply import Supply


class Obstacle(Struct, frozen=True):
    """Why a package cannot be built."""

    words: str
    is_broken: bool
    """Whether it is a broken definition; else it is one for another architecture."""


_User = str | int
"""The name of a package that is built, or the number of a package that is installed."""


class UnbuildableFinder(Struct, kw_only=True):
    """A walk from packages to all that must be there for them, and back from what cannot be."""

    graph: Graph
    needs: Needs
    arch: Arch
    available: Collection[str]
    _users: dict[_User, list[_User]] = field(default_factory=dict)
    _todo: list[int] = field(default_factory=list)
    _direct: dict[_User, Obstacle] = field(default_factory=dict)

    def find(self, packages: Iterable[Package]) -> dict[str, Obstacle]:
        """Return those of `packages` that cannot be built, each with what is in the way."""
        built = {package.name: package for package in packages}
        for name, package in built.items():
            self._look(name, package.environment, name, self.graph.supply_of(name))
            self._follow(name, self.needs.environment(package))
        while self._todo:
            number = self._todo.pop()
            origin = self.needs.origin(number)
            if origin.name in built:
                self._users.setdefault(origin.name, []).append(number)
            texts = self.needs.runtime_texts(number)
            needs = (Need(text, origin.file, origin.line, RUN_TIME) for text in texts)
            self._look(number, needs, self.needs.name(number), self.needs.supply(number))
            self._follow(number, self.needs.runtime(number))
        found = dict(self._direct)
        stack = list(found)
        while stack:
            node = stack.pop()
            for user in self._users.get(node, ()):
                if user not in found:
                    found[user] = found[node]
                    stack.append(user)
        return {name: found[name] for name in sorted(built) if name in found}

    def _look(self, user: _User, needs: Iterable[Need], name: str, supply: Supply) -> None:
        """Note the first of the needs of a user, called `name`, that nothing can give."""
        for need in needs:
            obstacle = self._obstacle(name, supply, need)
            if obstacle is not None:
                self._direct.setdefault(user, obstacle)
                return

    def _obstacle(self, name: str, supply: Supply, need: Need) -> Obstacle | None:
        if need.name in self.available or need.name in supply.available:
            return None
        if broken := self.graph.broken_need(name, supply, need):
            return Obstacle(str(broken), is_broken=True)
        if foreign := foreign_need(self.graph, self.arch, name, supply, need):
            return Obstacle(str(foreign), is_broken=False)
        return None

    def _follow(self, user: _User, numbers: Iterable[int]) -> None:
        for number in numbers:
            if not self.needs.is_elsewhere(number):
                if number not in self._users:
                    self._users[number] = []
                    self._todo.append(number)
                self._users[number].append(user)
