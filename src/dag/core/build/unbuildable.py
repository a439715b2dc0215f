"""Packages that cannot be built, because something that they need can never be there.

That is what only a broken definition might give, and what a definition gives that is for another
architecture, needed by the build itself or by something in its environment at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from dag.core.arch import Arch
from dag.core.build.needs import Needs
from dag.core.graph.foreign import ForeignNeed
from dag.core.graph.graph import Graph
from dag.core.package.model import Need, Package


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a package cannot be built."""

    words: str
    is_broken: bool
    """Whether it is a broken definition; else it is one for another architecture."""


_User = str | int
"""The name of a package that is built, or the number of a name that is installed."""


@dataclass(slots=True, kw_only=True)
class UnbuildableFinder:
    """A walk from packages to all that must be there for them, and back from what cannot be."""

    graph: Graph
    needs: Needs
    arch: Arch
    available: Collection[str]
    is_elsewhere: Callable[[Package], bool]
    _users: dict[_User, list[_User]] = field(default_factory=dict)
    _todo: list[int] = field(default_factory=list)
    _direct: dict[_User, Obstacle] = field(default_factory=dict)

    def find(self, packages: Iterable[Package]) -> dict[str, Obstacle]:
        """Return those of `packages` that cannot be built, each with what is in the way."""
        built = {package.name for package in packages}
        for package in packages:
            for need in package.environment:
                self._walk(package.name, need, package.name)
        while self._todo:
            number = self._todo.pop()
            origin = self.needs.origin(number)
            if origin.name in built:
                self._users.setdefault(origin.name, []).append(number)
            name = self.needs.name(number)
            for text in self.needs.runtime_texts(number):
                need = Need(text, origin.file, origin.line, "run time")
                self._walk(number, need, name)
        found = dict(self._direct)
        stack = list(found)
        while stack:
            node = stack.pop()
            for user in self._users.get(node, ()):
                if user not in found:
                    found[user] = found[node]
                    stack.append(user)
        return {name: found[name] for name in sorted(built) if name in found}

    def _walk(self, user: _User, need: Need, name: str) -> None:
        number = self.needs.number(need.text)
        if number == -1:
            broken = None if need.text[:1] == "!" else self.graph.broken.find(name, need)
            if broken and need.name not in self.graph:
                self._direct.setdefault(user, Obstacle(str(broken), is_broken=True))
            self._stop_at_foreign(user, need, name)
            return
        origin = self.needs.origin(number)
        if not origin.builds_on(self.arch.apk):
            self._stop_at_foreign(user, need, name)
        elif not self.is_elsewhere(origin):
            if number not in self._users:
                self._users[number] = []
                self._todo.append(number)
            self._users[number].append(user)

    def _stop_at_foreign(self, user: _User, need: Need, name: str) -> None:
        """Note that only a definition for another architecture gives a need, if that is so."""
        origin = None if need.text[:1] == "!" else self.graph.origin(need.name)
        if origin is None or origin.builds_on(self.arch.apk) or need.name in self.available:
            return
        words = str(ForeignNeed(name, need, origin, self.arch))
        self._direct.setdefault(user, Obstacle(words, is_broken=False))
