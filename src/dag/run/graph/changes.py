"""Changes since a commit → the packages that must be built again."""

from __future__ import annotations

from pathlib import Path

from dag.core.arch import Arch
from dag.core.graph.affected import Affected, find_affected
from dag.core.graph.graph import Graph
from dag.core.package.compile import read_definition
from dag.core.package.directory import Definitions
from dag.core.package.model import BrokenDefinition, Package
from dag.core.package.pipelines import Table
from dag.core.package.step import PipelineStep
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
        file: package
        for file, data in files_at(directory, since, changed).items()
        if (package := _as_it_was(data, file, arch)) is not None
    }
    return find_affected(graph, files, definitions.pipeline_roots, before, definitions.inputs)


class _AnyPipeline(Table):
    """Pipelines as they may have been then: what a definition makes does not depend on them."""

    def find(self, uses: str) -> PipelineStep:
        """Return the pipeline that `uses` names, or one that does nothing."""
        return super().find(uses) or PipelineStep(1)


def _as_it_was(data: bytes, file: str, arch: Arch) -> Package | None:
    """Return a definition as far as it tells what it made; None if it was none.

    It is read without build options and without a file of variables, which may have been others
    then. So a name, a version or a need that only they give is not seen.
    """
    match read_definition(data, file, arch=arch, table=_AnyPipeline({})):
        case BrokenDefinition() as broken:
            name, *others = broken.names
            return Package(
                name=name, version="0", epoch=0, file=file, line=1, provides=tuple(others)
            )
        case found:
            return found
