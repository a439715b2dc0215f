"""From a commit to what must be built again since."""

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
    """Find what must be built again because files differ from the commit `since`.

    Raises:
        UsageError: there is no such commit, or no repository.
        InfrastructureError: there is no git.

    """
    files = changed_files(directory, since)
    base = directory.resolve()
    roots = ["pipelines", *(os.path.relpath(one.resolve(), base) for one in pipeline_dirs)]
    definitions = [file for file in files if file.endswith(".yaml") and "/" not in file]
    before = {
        file: _names(data, file, arch)
        for file, data in files_at(directory, since, definitions).items()
    }
    return find_affected(graph, files, list(dict.fromkeys(roots)), before)


def _names(data: bytes, file: str, arch: Arch) -> frozenset[str]:
    """Say what a definition gave: its packages, and what they provide."""
    from dag.core.package.compile import compile_definition
    from dag.core.package.pipelines import Table

    package, problems = compile_definition(data, file, arch=arch, table=Table({}))
    if package is None:
        # Unreadable by itself, or with pipelines that were other ones then.
        return frozenset([file.removesuffix(".yaml")] if problems else ())
    return package.given
