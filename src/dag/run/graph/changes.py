"""Changes since a commit → the packages that must be built again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dag.core.arch import Arch
from dag.core.graph.affected import Affected, find_affected
from dag.core.graph.graph import Graph
from dag.io.graph.changes import changed_files, files_at


def affected_since(
    directory: Path, since: str, graph: Graph, arch: Arch, pipeline_dirs: Sequence[Path]
) -> Affected:
    """Return what must be built again because files differ from the commit `since`.

    Raises:
        UsageError: there is no such commit, or no repository.
        InfrastructureError: there is no git.

    """
    files = changed_files(directory, since)
    base = directory.resolve()
    roots = ["pipelines", *(os.path.relpath(one.resolve(), base) for one in pipeline_dirs)]
    definitions = [
        file
        for file in files
        if file.endswith(".yaml") and "/" not in file and not file.startswith(".")
    ]
    before = {
        file: _names_given(data, file, arch)
        for file, data in files_at(directory, since, definitions).items()
    }
    return find_affected(graph, files, list(dict.fromkeys(roots)), before)


def _names_given(data: bytes, file: str, arch: Arch) -> frozenset[str]:
    """Return the names that a definition gave: its packages, and what they provide."""
    from dag.core.package.compile import compile_definition
    from dag.core.package.pipelines import Table

    package, problems = compile_definition(data, file, arch=arch, table=Table({}))
    if package is None:
        # It was unreadable then, or it used pipelines that were different then.
        return frozenset([file.removesuffix(".yaml")] if problems else ())
    return package.given
