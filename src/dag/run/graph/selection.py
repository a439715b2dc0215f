"""A directory and names → make's targets: the part of the work before any cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build.options import SelectionOptions
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import PackageRepository, offers
from dag.core.package.makefile import Makefile
from dag.core.package.model import Package
from dag.io.package import definitions
from dag.io.package.makefile import makefile_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The packages that are built, and the targets that make is asked for."""

    packages: tuple[Package, ...]
    """The packages that are built, dependencies first."""
    targets: tuple[str, ...]
    """The targets of make; empty if a repository has everything."""
    makefile: Makefile
    left_out: int
    """How many packages need not be built because a repository has them."""
    missing: int
    """How many dependencies close a cycle, so that they are not built yet when they are needed."""
    external: Mapping[str, Sequence[str]]
    """Names that neither the directory nor a repository has → who needs them."""


def select(options: SelectionOptions, arch: Arch) -> Selection:
    """Return the packages that are asked for, or all, and their targets.

    With names it is their closure, dependencies first; with `options.only` just themselves. Without,
    it is the Makefile's `all`, or every definition's target where it has no such rule. What one of
    the repositories has in the very version is left out, and what only that needs, but not what is
    asked for by name.

    Raises:
        UsageError: a definition or an index is wrong, a name is unknown, or there is no Makefile.
        InfrastructureError: a repository's server does not answer as it should.

    """
    directory, names = Path(options.directory), options.packages
    packages = definitions.read(
        directory,
        arch=arch.apk,
        pipeline_dirs=[Path(one) for one in options.pipeline_dirs],
        build_options=options.build_options,
    )
    makefile = makefile_of(directory, options.target_template)
    have = _read_repositories(options.repositories, arch)
    graph = Graph(packages, available=have.names)
    there = {package.name for package in packages if offers(have.versions, package)}
    if names:
        whole = graph.order(names) if options.only else graph.closure(names)
        order = whole if options.only else graph.closure(names, there)
    else:
        whole = graph.order()
        order = [package for package in whole if package.name not in there]
    targets = makefile.targets(order, arch)
    if order == whole and not names and makefile.has_all:
        targets = ["all"]
    inside = {package.name for package in order}
    missing = sum(
        edge.package in inside and edge.need.name not in have.names for edge in graph.dropped_edges
    )
    return Selection(
        packages=tuple(order),
        targets=tuple(targets),
        makefile=makefile,
        left_out=len(whole) - len(order),
        missing=missing,
        external=graph.missing(inside),
    )


def _read_repositories(repositories: Sequence[str], arch: Arch) -> PackageRepository:
    if not repositories:
        return PackageRepository()
    from dag.io.package.apkindex import (
        repository,  # archives take longer to import than a directory to read
    )

    return repository(repositories, arch)
