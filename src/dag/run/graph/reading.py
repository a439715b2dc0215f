"""From the flags of a command to the graph, and to the part of it that is asked for."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path

from dag.core.graph.affected import Affected
from dag.core.graph.graph import Graph
from dag.core.graph.options import AffectedOptions, GraphOptions
from dag.core.package.model import Package
from dag.core.package.options import DefinitionOptions
from dag.io.package.definitions import read


def read_graph(options: DefinitionOptions, repositories: Sequence[str] = ()) -> Graph:
    """Read the directory and what `repositories` have, and make the graph.

    Raises:
        UsageError: a definition or an index is wrong.

    """
    gc.disable()  # the command ends soon, and all that it reads stays until then
    packages = read(
        Path(options.directory),
        arch=options.arch.apk,
        pipeline_dirs=[Path(one) for one in options.pipeline_dirs],
        build_options=options.build_options,
    )
    arch = options.arch
    if not repositories:
        return Graph(packages, arch=arch.apk)
    from dag.io.package.apkindex import repository

    return Graph(packages, arch=arch.apk, repository=repository(repositories, arch))


def selected_packages(graph: Graph, options: GraphOptions) -> list[Package]:
    """Return the packages that are asked for with what they need, or with what needs them.

    They are in the order in which they can be built. Without names it is all of them.

    Raises:
        UsageError: a name is unknown.

    """
    if not options.packages:
        return graph.order()
    if options.show_dependents:
        return graph.dependents(options.packages)
    return graph.closure(options.packages)


def affected_packages(graph: Graph, options: AffectedOptions) -> Affected:
    """Find what must be built again because files differ from a commit.

    Raises:
        UsageError: there is no such commit, or no repository.
        InfrastructureError: there is no git.

    """
    from dag.run.graph.changes import affected_since

    pipeline_dirs = [Path(one) for one in options.pipeline_dirs]
    return affected_since(
        Path(options.directory), options.since, graph, options.arch, pipeline_dirs
    )
