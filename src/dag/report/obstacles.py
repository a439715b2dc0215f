"""What is in the way of a build as far as a graph and a plan tell, in lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dag.core.graph.remarks import (
    find_offers,
    find_places,
    find_refusals,
    find_unasked,
    names_repositories,
)
from dag.report.words import (
    blocked_lines,
    closing_words,
    missing_lines,
    refusal_lines,
    stuck_words,
)

if TYPE_CHECKING:
    from dag.core.build.plan import BuildPlan
    from dag.core.graph.graph import Graph
    from dag.core.package.repositories import Repositories


def obstacle_lines(
    plan: BuildPlan,
    graph: Graph,
    named: Sequence[str],
    repositories: Repositories,
    *,
    verbose: int,
) -> Iterator[str]:
    """Yield what a plan cannot build, and what the others need that nobody has as far as is known.

    `named` are the repositories that the user names, and `repositories` tells of all that were asked.
    """
    yield from blocked_lines(plan.unbuildable)
    for cycle in plan.stuck:
        yield f"{stuck_words(cycle)}: {closing_words(cycle)}"
        if holder := repositories.holder(cycle.openers):
            yield f"{holder} has what may open it: -r makes that known to all packages"
    if plan.stuck:
        yield "`dag cycles` shows what would break the cycles"
    names = (step.package.name for step in plan.steps)
    yield from unmet_lines(graph, names, named, verbose=verbose, repositories=repositories)


def unmet_lines(
    graph: Graph,
    names: Iterable[str],
    named: Sequence[str],
    *,
    verbose: int,
    repositories: Repositories | None = None,
) -> Iterator[str]:
    """Yield what some of `names` need that is neither defined nor in one of the `repositories`.

    `named` are those that the user names. Without `repositories`, those were not asked that definitions
    and the Makefile name: so what they may have is no matter.

    Of other needs that apko cannot satisfy, tell whose environments it does not make.
    """
    inside = frozenset(names)
    missing = graph.missing(inside)
    there = {name: find_offers(graph, name) for name in missing}
    yield from missing_lines(
        find_places(graph, missing) if verbose else missing,
        graph.names,
        others=bool(graph.available or (repositories and repositories.own)),
        verbose=verbose,
        there=there,
        remarks=repositories.remarks(missing) if repositories else {},
        unasked=() if repositories else find_unasked(graph, missing),
        known=bool(named) or not missing or names_repositories(graph),
    )
    yield from refusal_lines(find_refusals(graph, inside), verbose=verbose)
