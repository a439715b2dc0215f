"""From the flags of a command to the graph, and to the part of it that is asked for."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path

from dag.core.graph.affected import Affected
from dag.core.graph.draw import Kind
from dag.core.graph.externals import dependents, split_words
from dag.core.graph.graph import Graph
from dag.core.graph.options import AffectedOptions, GraphOptions, TextOptions
from dag.core.package.directory import Definitions
from dag.core.package.makefile import NO_MAKEFILE, Makefile, built_in_makefile, read_makefile
from dag.core.package.model import Package
from dag.core.package.options import DefinitionOptions
from dag.io.package import decisions
from dag.io.package.makefile import find_makefile
from dag.report.terminal import say
from dag.run.graph.definitions import read_definitions


def read_graph(options: DefinitionOptions, repositories: Sequence[str] = ()) -> Graph:
    """Read the directory and what `repositories` have, and make the graph.

    What is wrong with single definitions is written to stderr.

    Raises:
        UsageError: no definition can be used, or an index is wrong.

    """
    return graph_of(_read(options), options, repositories)


def _read(options: DefinitionOptions) -> Definitions:
    gc.disable()  # the command ends soon, and all that it reads stays until then
    found = read_definitions(options, options.directory, options.arch)
    for line in found.words():
        say(line)
    return found


def graph_of(
    found: Definitions, options: DefinitionOptions, repositories: Sequence[str] = ()
) -> Graph:
    """Return the graph of definitions and what `repositories` have.

    Raises:
        UsageError: an index is wrong.

    """
    have = None
    if repositories:
        from dag.io.package.apkindex import repository

        have = repository(repositories, options.arch)
    directory, arch = Path(options.directory), options.arch.apk
    key = decisions.key_of(found.packages, have.candidates if have else (), arch)
    decided = decisions.load(directory, arch, key)
    graph = Graph(found.packages, arch=arch, repository=have, broken=found.broken, decided=decided)
    if decided is None and (new := graph.installs.decisions()):
        decisions.store(directory, arch, key, new)
    return graph


def target_rules(options: TextOptions | AffectedOptions) -> Makefile:
    """Return how packages become targets, if these are printed: as the directory's Makefile says.

    Raises:
        UsageError: the Makefile cannot be read, or the template is wrong.

    """
    template = options.target_template
    if options.kind is not Kind.TARGET:
        return NO_MAKEFILE
    found = find_makefile(Path(options.directory), template, options.make_assignments())
    if found is not None:
        return found
    return built_in_makefile() if template is None else read_makefile("", template)


def selected_packages(graph: Graph, options: GraphOptions) -> list[Package]:
    """Return the packages that are asked for with what they need, or with what needs them.

    They are in the order in which they can be built. Without names it is all that is not stopped;
    of what needs the names, the same.

    Raises:
        UsageError: a name is unknown, or what is asked for needs a broken definition.

    """
    if options.packages and not options.show_dependents:
        return graph.closure(options.packages)
    stopped = graph.stopped()
    if not options.packages:
        return [one for one in graph.order() if one.name not in stopped]
    if stopped:
        known, _ = split_words(graph, options.packages)
        graph.closure(known)  # refuses them if they are stopped themselves
    return [one for one in dependents(graph, options.packages) if one.name not in stopped]


def read_affected(options: AffectedOptions) -> tuple[Graph, Affected]:
    """Read the graph, and find what must be built again because files differ from a commit.

    Raises:
        UsageError: no definition can be used, there is no such commit, or no repository.
        InfrastructureError: there is no git.

    """
    from dag.run.graph.changes import affected_since

    found = _read(options)
    graph = graph_of(found, options)
    return graph, affected_since(options.since, graph, options.arch, found)
