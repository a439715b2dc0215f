"""A directory and names → make's targets: the part of the work before any cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build.options import SelectionOptions
from dag.core.graph.foreign import foreign_needs
from dag.core.graph.graph import Graph
from dag.core.graph.remarks import EnvironmentRefusal, find_offers, find_places, find_refusals
from dag.core.graph.stops import refuse_needs
from dag.core.package.apkindex import offers
from dag.core.package.directory import Definitions
from dag.core.package.makefile import Makefile
from dag.core.package.model import Package
from dag.core.package.repositories import NamedByUser, Repositories
from dag.io.package.makefile import makefile_of
from dag.run.graph.definitions import read_definitions
from dag.run.graph.repositories import ask_repositories


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The packages that are built, and the targets that make is asked for."""

    packages: tuple[Package, ...]
    """The packages that are built, dependencies first."""
    targets: tuple[str, ...]
    """The targets of make; empty if a repository has everything."""
    makefile: Makefile
    definitions: Definitions
    """What the directory has, whether it is selected or not."""
    left_out: int
    """How many packages need not be built because a repository has them."""
    missing: int
    """How many dependencies close a cycle, so that they are not built yet when they are needed."""
    external: Mapping[str, Sequence[str]]
    """Names that neither the directory nor a repository has → who needs them, and where that is said."""
    there: Mapping[str, Sequence[str]]
    """What there is of these names, in versions that nobody wants."""
    refusals: Sequence[EnvironmentRefusal]
    """The environments that apko does not make."""
    names: Collection[str]
    """Every name that the directory gives."""
    repositories: Repositories
    """What there is in repositories."""
    stopped: frozenset[str]
    """The packages that are left out, because what they need cannot be built."""
    causes: Mapping[str, object]
    """Package → what it needs that cannot be built, in words; the other stopped ones need these."""


def select(
    options: SelectionOptions, arch: Arch, say: Callable[[str], None], *, ask: bool = True
) -> Selection:
    """Return the packages that are asked for, or all, and their targets.

    With names it is their closure, dependencies first; with `options.only` just themselves. Without,
    it is the Makefile's `all`, or every definition's target where it has no such rule. What one of
    the repositories has in the very version is left out, and what only that needs, but not what is
    asked for by name. Without names, what cannot be built is left out as well. `say` is told what is
    wrong with single definitions and repositories. Without `ask` no repository is asked.

    Raises:
        UsageError: an index is wrong, a name is unknown, there is no Makefile, or what is asked for
            by name needs a broken definition or one for another architecture.
        InfrastructureError: a repository's server does not answer as it should.

    """
    directory = Path(options.directory)
    found = read_definitions(options, options.directory, arch)
    for line in found.words():
        say(line)
    makefile = makefile_of(directory, options.target_template, options.make_assignments())
    asked = Repositories()
    if ask:
        named = NamedByUser(repositories=options.repositories, keys=options.keyrings)
        asked = ask_repositories(found.packages, directory, arch, named)
    for line in asked.words:
        say(line)
    graph = Graph(
        found.packages,
        arch=arch.apk,
        repository=asked.common,
        own=asked.own,
        broken=found.broken,
    )
    foreign = foreign_needs(graph, arch)
    there = {one.name for one in found.packages if offers(asked.common.versions, one)}
    chosen = _choose(options, graph, there, foreign)
    order = chosen.order
    targets = makefile.targets(order, arch)
    for line in makefile.file_notes(order):
        say(line)
    if order == chosen.whole and not options.packages and makefile.has_all:
        targets = ["all"]
    for line in makefile.target_notes(targets):
        say(line)
    inside = {package.name for package in order}
    missing = sum(
        edge.package in inside and edge.wanted not in graph.supply_of(edge.package).available
        for edge in graph.dropped_edges
    )
    external = graph.missing(inside)
    return Selection(
        packages=tuple(order),
        targets=tuple(targets),
        makefile=makefile,
        definitions=found,
        left_out=len(chosen.whole) - len(order) - len(chosen.stopped),
        missing=missing,
        external=find_places(graph, external),
        there={name: find_offers(graph, name) for name in external},
        refusals=find_refusals(graph, inside),
        names=graph.names,
        repositories=asked,
        stopped=chosen.stopped,
        causes={**foreign, **graph.broken_needs},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """The packages that are built, and why others are not."""

    whole: Sequence[Package]
    """What is asked for, whatever a repository has; dependencies come first here and below."""
    order: Sequence[Package]
    """What is built of these."""
    stopped: frozenset[str] = frozenset()
    """Those that are left out, because what they need cannot be built."""


def _choose(
    options: SelectionOptions,
    graph: Graph,
    there: Collection[str],
    foreign: Mapping[str, object],
) -> _Chosen:
    """Choose packages of a graph, of which a repository has those that are `there`.

    `foreign` has by their names those that need what is for another architecture, and which need that is.

    Raises:
        UsageError: a name is unknown, or needs a broken definition or one for another architecture.

    """
    names = options.packages
    if options.only and names:
        order = graph.order(names)
        return _Chosen(whole=order, order=order)
    if names:
        whole, order = graph.closure(names, stopped_too=True), graph.closure(names, there)
        refuse_needs(foreign[one.name] for one in order if one.name in foreign)
        return _Chosen(whole=whole, order=order)
    whole, stopped = graph.order(), graph.stopped({**foreign, **graph.broken_needs}, there)
    order = [one for one in whole if one.name not in there and one.name not in stopped]
    return _Chosen(whole=whole, order=order, stopped=stopped)
