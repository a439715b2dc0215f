"""Changes since a commit → the packages that must be built again."""

from __future__ import annotations

from pathlib import Path

from dag.core.arch import Arch
from dag.core.graph.affected import Affected, find_affected
from dag.core.graph.graph import Graph
from dag.core.package.directory import Definitions
from dag.io.graph.changes import changed_files, files_at


def affected_since(since: str, graph: Graph, arch: Arch, definitions: Definitions) -> Affected:
    """Return what must be built again because files of `definitions` differ from a commit.

    Raises:
        UsageError: there is no such commit, or no repository.
        InfrastructureError: there is no git.

    """
    directory = Path(definitions.directory)
    files = changed_files(directory, since)
    changed = [
        file
        for file in files
        if file.endswith(".yaml") and "/" not in file and not file.startswith(".")
    ]
    before = {
        file: _names_given(data, file, arch)
        for file, data in files_at(directory, since, changed).items()
    }
    return find_affected(graph, files, definitions.pipeline_roots, before, definitions.inputs)


def _names_given(data: bytes, file: str, arch: Arch) -> frozenset[str]:
    """Return the names that a definition gave: its packages, and what they provide."""
    from dag.core.package.compile import compile_definition
    from dag.core.package.pipelines import Table

    package, problems = compile_definition(data, file, arch=arch, table=Table({}))
    if package is None:
        # It was unreadable then, or it used pipelines that were different then.
        return frozenset([file.removesuffix(".yaml")] if problems else ())
    return package.given
