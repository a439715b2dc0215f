"""From changed files to the packages that must be built again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dag.core.definitions import Package
from dag.core.graph import Graph


@dataclass(frozen=True, slots=True)
class Affected:
    """What follows from changed files."""

    reasons: dict[str, list[str]]
    """Package → the files that concern itself."""
    packages: tuple[Package, ...]
    """These and everything that needs them, dependencies first."""
    unrelated: tuple[str, ...]
    """Changed files that concern no package."""


def affected(graph: Graph, files: Iterable[str], pipeline_dirs: Sequence[str]) -> Affected:
    """Find what `files` (relative to the directory of the definitions) change.

    A package is concerned by its definition, by any file in the directory that melange gives it as
    source (named like the definition), and by the pipelines that it uses from `pipeline_dirs`. Where
    a definition is gone, those that need the package of that name are concerned.
    """
    by_file = {package.file: package.name for package in graph.packages}
    by_directory = {package.file.removesuffix(".yaml"): package.name for package in graph.packages}
    by_directory |= {package.name: package.name for package in graph.packages}
    by_pipeline: dict[str, list[str]] = {}
    for package in graph.packages:
        for uses in package.pipelines:
            by_pipeline.setdefault(uses, []).append(package.name)
    reasons: dict[str, list[str]] = {}
    unrelated: list[str] = []
    for file in sorted(files):
        top, slash, _ = file.partition("/")
        concerned: list[str] = []
        if not slash and top.endswith(".yaml"):
            name = by_file.get(top)
            gone = graph.externals.get(top.removesuffix(".yaml"), [])
            concerned = [name] if name else gone
        elif slash and top in by_directory:
            concerned = [by_directory[top]]
        for root in pipeline_dirs:
            prefix = f"{root.rstrip('/')}/"
            if file.startswith(prefix) and file.endswith(".yaml"):
                uses = file.removeprefix(prefix).removesuffix(".yaml")
                concerned = [*concerned, *by_pipeline.get(uses, [])]
        for name in concerned:
            reasons.setdefault(name, []).append(file)
        if not concerned:
            unrelated.append(file)
    return Affected(reasons, tuple(graph.dependents(reasons)), tuple(unrelated))
