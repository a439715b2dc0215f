"""The packages whose sources are fetched: those that `dag build` would build with the same flags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dag.core.build.known import Known
from dag.core.build.plan import BuildRequest, make_plan
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import repository_root
from dag.core.package.directory import Definitions
from dag.core.package.model import Package
from dag.core.package.repositories import NamedByUser
from dag.core.sources.options import CacheOptions
from dag.report.terminal import say
from dag.run.graph.repositories import ask_repositories


def packages_to_fetch_for(options: CacheOptions, found: Definitions) -> Sequence[Package]:
    """Return the packages whose sources are wanted.

    It is what a build without a store plans for the names and the repositories that are given, and
    what is in a cycle that nothing opens yet. Like a build, it asks the repositories that the
    definitions and the Makefile name, too.

    Raises:
        UsageError: a name is unknown, what is asked for needs a broken definition, or an index is
            wrong.
        InfrastructureError: a repository's server does not answer as it should.

    """
    places = tuple(map(repository_root, options.repositories))
    named = NamedByUser(repositories=places, keys=options.keyrings)
    asked = ask_repositories(found.packages, Path(options.directory), options.arch, named)
    for line in asked.words:
        say(line)
    have = asked.common
    graph = Graph(
        found.packages,
        arch=options.arch.apk,
        repository=have,
        own=asked.own,
        broken=found.broken,
    )
    request = BuildRequest(packages=options.packages, only=options.only)
    known = Known(repository=have.versions, available=have.names)
    plan = make_plan(graph, options.arch, request, known)
    names = {step.package.name for step in plan.steps} | set(plan.blocked)
    names |= {name for cycle in plan.stuck for name in cycle.packages}
    return [package for package in found.packages if package.name in names]


def packages_to_keep(options: CacheOptions, found: Definitions) -> Sequence[Package]:
    """Return the packages whose sources `dag cache prune` keeps: all, or those named and their needs.

    Raises:
        UsageError: a name is unknown, or what is asked for needs a broken definition.

    """
    if not options.packages:
        return found.packages
    graph = Graph(found.packages, arch=options.arch.apk, broken=found.broken)
    return (graph.order if options.only else graph.closure)(options.packages)
