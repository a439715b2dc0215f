"""Remarks on the graph that several commands write to stderr."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dag.core.graph.draw import Kind
from dag.report.terminal import say, show, show_document

if TYPE_CHECKING:
    from dag.core.graph.graph import Graph
    from dag.core.graph.options import GraphOptions
    from dag.core.package.model import Package
    from dag.core.package.repositories import Repositories


def show_packages(lines: Sequence[str], kind: Kind) -> None:
    """Write lines about packages to stdout."""
    if kind is Kind.JSON:
        show_document("".join(f"{line}\n" for line in lines))
    else:
        show(lines)


def tell_notes(graph: Graph, packages: Sequence[Package], options: GraphOptions) -> None:
    """Write what the order of `packages` doesn't show: dropped edges, choices, what is missing."""
    from dag.report.words import some

    names = [one.name for one in packages]
    if not options.packages or options.show_dependents:
        tell_stopped(graph.stopped(), graph.broken_needs, verbose=options.verbose)
    _tell_dropped(graph, frozenset(names), verbose=options.verbose)
    tell_missing(graph, names, options.repositories, verbose=options.verbose)
    elsewhere = [one.name for one in packages if not one.builds_on(options.arch.apk)]
    if elsewhere:
        say(f"melange skips what is not for {options.arch}: {some(elsewhere)}")
    if options.verbose:
        from dag.core.graph.remarks import find_choices

        for taken in find_choices(graph, frozenset(names)):
            say(f"{taken.text} is {taken.chosen} and not {some(taken.others)}: {taken.why}")


def tell_stopped(stopped: Collection[str], causes: Mapping[str, object], *, verbose: int) -> None:
    """Write that packages are left out because of broken definitions; `causes` as for the words."""
    from dag.report.words import stopped_lines

    for line in stopped_lines(stopped, causes, verbose=verbose):
        say(line)


def tell_missing(
    graph: Graph,
    names: Iterable[str],
    named: Sequence[str],
    *,
    verbose: int,
    repositories: Repositories | None = None,
) -> None:
    """Write what some of `names` need that is neither defined nor in one of the `repositories`.

    `named` are those that the user names. Without `repositories`, those were not asked that definitions
    and the Makefile name: so what they may have is no matter.

    Of other needs that apko cannot satisfy, write whose environments it does not make.
    """
    from dag.core.graph.remarks import (
        find_offers,
        find_places,
        find_refusals,
        find_unasked,
        names_repositories,
    )
    from dag.report.words import missing_lines, refusal_lines

    inside = frozenset(names)
    missing = graph.missing(inside)
    there = {name: find_offers(graph, name) for name in missing}
    for line in missing_lines(
        find_places(graph, missing) if verbose else missing,
        graph.names,
        others=bool(graph.available or (repositories and repositories.own)),
        verbose=verbose,
        there=there,
        remarks=repositories.remarks(missing) if repositories else {},
        unasked=() if repositories else find_unasked(graph, missing),
        known=bool(named) or not missing or names_repositories(graph),
    ):
        say(line)
    for line in refusal_lines(find_refusals(graph, inside), verbose=verbose):
        say(line)


def availability(graph: Graph, name: str) -> str:
    """Return words to put behind a name that a repository has, or nothing."""
    return " (a repository has it)" if name in graph.available else ""


def _tell_dropped(graph: Graph, inside: frozenset[str], *, verbose: int) -> None:
    from dag.core.graph.draw import describe
    from dag.report.words import count

    dropped = [pair for pair in graph.dropped_pairs if pair[0] in inside]
    if not dropped:
        return
    edges = graph.dropped_edges if verbose or graph.available else ()
    if verbose:
        for edge in edges:
            if edge.package not in inside:
                continue
            where = availability(graph, edge.wanted)
            say(f"dropped, must be bootstrapped{where}: {describe(edge)}")
        return
    satisfied = sum(edge.wanted in graph.available for edge in edges if edge.package in inside)
    loops = sum(package == origin for package, origin in dropped)
    example = graph.edge(*dropped[0])
    first = describe(example) if example else " needs ".join(dropped[0])
    say(
        f"dropped from the order because of cycles: {count(len(dropped), 'edge')}"
        f" ({loops} of them packages that need themselves"
        + (f", {satisfied} that a repository has" if graph.available else "")
        + f"), so what they name must be bootstrapped: {first}"
        + ("; and so on" if len(dropped) > 1 else "")
        + "; -v names all, `dag cycles` explains"
    )
