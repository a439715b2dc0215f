"""Changed files → the packages that must be built again."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from dag.core.graph.graph import Graph
from dag.core.graph.installs import Installs
from dag.core.package.directory import NO_INPUTS
from dag.core.package.model import BrokenDefinition, Package
from dag.core.package.names import settle_clashes
from dag.errors import UsageError


@dataclass(frozen=True, slots=True)
class Affected:
    """The packages that changed files concern."""

    reasons: dict[str, list[str]]
    """Package → the changed files that concern the package itself."""
    packages: tuple[Package, ...]
    """The packages of `reasons` and all that need them, dependencies first."""
    unrelated: tuple[str, ...]
    """The changed files that concern no package."""
    broken: tuple[str, ...]
    """The definitions that changed, or of which a pipeline or the like did, and that cannot be used:
    nobody knows what they concern."""

    def require_sound(self) -> None:
        """Refuse a change that breaks a definition; what is wrong with it has been told.

        Raises:
            UsageError: it does.

        """
        if self.broken:
            raise UsageError(
                f"what has changed is broken: {', '.join(self.broken)}",
                hint="correct what is said above; nobody knows what such a definition concerns",
            )


def find_affected(
    graph: Graph,
    files: Iterable[str],
    pipeline_dirs: Sequence[str],
    before: Mapping[str, Package] | None = None,
    inputs: Mapping[str, Iterable[str]] = NO_INPUTS,
) -> Affected:
    """Return the packages that a change of `files` concerns.

    The files are relative to the directory of the definitions. Concerned is a package whose
    definition changed, whose source directory (it has the name of the definition) has a changed
    file, or whose pipelines from `pipeline_dirs` changed, or another of its `inputs`. Concerned is
    also a package that is not built any more with what a changed definition made `before`, which
    are the definitions of these files as they were. A directory that is named as a whole (a
    submodule, a link) counts for all that is in it.
    """
    concerned = _Concerned(graph, pipeline_dirs, before or {}, inputs)
    reasons: dict[str, list[str]] = {}
    unrelated: list[str] = []
    broken: set[str] = set()
    for file in sorted(files):
        names = list(concerned.by(file))
        for name in dict.fromkeys(names):
            reasons.setdefault(name, []).append(file)
        failed = list(concerned.broken.users(file))
        broken.update(failed)
        if not (names or failed or file.startswith("../")):
            unrelated.append(file)
    packages = tuple(graph.dependents(reasons))
    return Affected(reasons, packages, tuple(unrelated), tuple(sorted(broken)))


class _Inputs:
    """Who reads which files."""

    def __init__(self, pipeline_dirs: Sequence[str], inputs: Mapping[str, Iterable[str]]) -> None:
        self._pipeline_dirs = pipeline_dirs
        self._inputs = inputs
        self._users: dict[str, list[str]] = {}

    def add(self, user: str, definition: Package | BrokenDefinition) -> None:
        """Note the files that a definition is resolved from, its own first, as read by `user`."""
        # A pipeline may be one that another place had before, or will have.
        read = (
            f"{root}/{uses}.yaml" for root in self._pipeline_dirs for uses in definition.pipelines
        )
        found = (definition.file, *read, *self._inputs.get(definition.file, ()))
        for path in {posixpath.normpath(one) for one in found}:
            self._users.setdefault(path, []).append(user)

    def users(self, file: str) -> Iterator[str]:
        """Yield who reads a file, or what is in a directory that is named as a whole."""
        yield from self._users.get(file, ())
        if not file.endswith(".yaml"):
            for path, users in self._users.items():
                if path.startswith(f"{file.rstrip('/')}/"):
                    yield from users


class _Concerned:
    """The packages that a file may concern, by the ways in which it may."""

    def __init__(
        self,
        graph: Graph,
        pipeline_dirs: Sequence[str],
        before: Mapping[str, Package],
        inputs: Mapping[str, Iterable[str]],
    ) -> None:
        self.by_directory: dict[str, str] = {}
        self.by_input = _Inputs(pipeline_dirs, inputs)
        for package in graph.packages:
            self.by_directory[package.file.removesuffix(".yaml")] = package.name
            self.by_directory[package.name] = package.name
            self.by_input.add(package.name, package)
        self.broken = _Inputs(pipeline_dirs, inputs)
        """The files of broken definitions."""
        for definition in graph.broken.definitions:
            self.broken.add(definition.file, definition)
        self.by_loss = _losses(graph, before)

    def by(self, file: str) -> Iterator[str]:
        yield from self.by_loss.get(file, ())
        yield from self.by_input.users(file)
        top = file.partition("/")[0]
        if top in self.by_directory:
            yield self.by_directory[top]


class _Users:
    """Whose environments have what a definition makes."""

    def __init__(self, installs: Installs) -> None:
        self._packages = installs.packages
        self._made: dict[str, list[int]] = {}
        """By name of a definition: the packages that it makes."""
        for number, unit in installs.owners.items():
            self._made.setdefault(self._packages[unit].name, []).append(number)
        self._units: dict[int, list[int]] = {}
        """By what is in `Installs.targets`: the units that have it there."""
        self._needed_by: dict[int, list[int]] = {}
        for unit, targets in enumerate(installs.targets):
            for target in targets:
                self._units.setdefault(target, []).append(unit)
        for number in chain.from_iterable(installs.components):
            for needed in installs.runtime(number):
                self._needed_by.setdefault(needed, []).append(number)

    def of(self, name: str) -> set[str]:
        """Return the packages that a definition is there for when they are built."""
        own = self._made.get(name, [])
        found = dict.fromkeys(own)
        queue = list(own)
        for number in queue:  # grows while it is walked
            new = [one for one in self._needed_by.get(number, ()) if one not in found]
            found.update(dict.fromkeys(new))
            queue += new
        # A target is `~` of a package if what that needs does not follow from it.
        targets = [*found, *(~number for number in own)]
        return {self._packages[unit].name for one in targets for unit in self._units.get(one, ())}


def _losses(graph: Graph, before: Mapping[str, Package]) -> dict[str, list[str]]:
    """Return, by file, the packages that were built with what it made, and are not any more.

    They may have lost it because of a version that another constraint wants now, or another
    provider goes before it: then nothing of the graph as it is tells that they have changed.
    """
    now = {package.file: package for package in graph.packages}
    changed = {
        file: old for file, old in before.items() if file not in now or _differs(old, now[file])
    }
    if not changed:
        return {}
    others = [package for package in graph.packages if package.file not in before]
    arch = graph.installs.arch
    settled = settle_clashes(sorted([*others, *before.values()], key=_name), arch)
    then, users = _Users(graph.installs.of_others(settled.packages)), _Users(graph.installs)
    everyone = {package.name for package in graph.packages}
    losses: dict[str, list[str]] = {}
    for file, old in changed.items():
        if had := then.of(old.name) & everyone:
            names = {one.name for one in (old, now.get(file)) if one}
            losses[file] = sorted(had.difference(*map(users.of, names)))
    return losses


def _name(package: Package) -> str:
    return package.name


def _differs(one: Package, other: Package) -> bool:
    """Tell whether two definitions make different packages, as far as apko chooses by them."""

    def facts(package: Package) -> object:
        made = [
            (each.name, each.runtime, each.provides, each.provider_priority)
            for each in package.outputs
        ]
        return made, package.full_version, package.target_architecture

    return facts(one) != facts(other)
