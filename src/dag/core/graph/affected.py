"""Changed files → the packages that must be built again."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dag.core.graph.graph import Graph
from dag.core.package.directory import NO_INPUTS
from dag.core.package.model import Package


@dataclass(frozen=True, slots=True)
class Affected:
    """The packages that changed files concern."""

    reasons: dict[str, list[str]]
    """Package → the changed files that concern the package itself."""
    packages: tuple[Package, ...]
    """The packages of `reasons` and all that need them, dependencies first."""
    unrelated: tuple[str, ...]
    """The changed files that concern no package."""


def find_affected(
    graph: Graph,
    files: Iterable[str],
    pipeline_dirs: Sequence[str],
    before: Mapping[str, Collection[str]] | None = None,
    inputs: Mapping[str, Iterable[str]] = NO_INPUTS,
) -> Affected:
    """Return the packages that a change of `files` concerns.

    The files are relative to the directory of the definitions. Concerned is a package whose
    definition changed, whose source directory (it has the name of the definition) has a changed
    file, or whose pipelines from `pipeline_dirs` changed, or another of its `inputs`. Concerned is also a package that needs a
    name which a changed definition gave `before` and does not give any more. A directory that is
    named as a whole (a submodule, a link) counts for all that is in it.
    """
    concerned = _Concerned(graph, pipeline_dirs, before or {}, inputs)
    reasons: dict[str, list[str]] = {}
    unrelated: list[str] = []
    for file in sorted(files):
        names = list(concerned.by(file))
        for name in dict.fromkeys(names):
            reasons.setdefault(name, []).append(file)
        if not names and file not in graph.broken and not file.startswith("../"):
            unrelated.append(file)
    return Affected(reasons, tuple(graph.dependents(reasons)), tuple(unrelated))


class _Concerned:
    """The packages that a file may concern, by the ways in which it may."""

    def __init__(
        self,
        graph: Graph,
        pipeline_dirs: Sequence[str],
        before: Mapping[str, Collection[str]],
        inputs: Mapping[str, Iterable[str]],
    ) -> None:
        self.by_file: dict[str, str] = {}
        self.by_directory: dict[str, str] = {}
        self.by_input: dict[str, list[str]] = {}
        for package in graph.packages:
            self.by_file[package.file] = package.name
            self.by_directory[package.file.removesuffix(".yaml")] = package.name
            self.by_directory[package.name] = package.name
            # A pipeline may be one that another place had before, or will have.
            read = {f"{root}/{uses}.yaml" for root in pipeline_dirs for uses in package.pipelines}
            for path in {posixpath.normpath(one) for one in (*read, *inputs.get(package.file, ()))}:
                self.by_input.setdefault(path, []).append(package.name)
        self.by_loss = _losses(graph, before)

    def by(self, file: str) -> Iterator[str]:
        yield from self.by_loss.get(file, ())
        yield from self.by_input.get(file, ())
        top = file.partition("/")[0]
        if file in self.by_file:
            yield self.by_file[file]
        elif top in self.by_directory:
            yield self.by_directory[top]
        if not file.endswith(".yaml"):
            for path, users in self.by_input.items():
                if path.startswith(f"{file.rstrip('/')}/"):
                    yield from users


def _losses(graph: Graph, before: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Return, by file, the packages that need a name which its definition does not give any more."""
    now = {package.file: package.given for package in graph.packages if package.file in before}
    lost: dict[str, str] = {}
    for file, names in before.items():
        lost |= dict.fromkeys(set(names).difference(now.get(file, ())), file)
    losses: dict[str, list[str]] = {}
    for package in graph.packages if lost else ():
        for file in {lost[need.name] for need in package.environment if need.name in lost}:
            losses.setdefault(file, []).append(package.name)
    return losses
