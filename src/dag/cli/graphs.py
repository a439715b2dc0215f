"""Remarks on the graph that several commands write to stderr."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from dag.core.graph.draw import Kind
from dag.report.terminal import say, show, show_document

if TYPE_CHECKING:
    from dag.core.graph.graph import Graph
    from dag.core.graph.options import GraphOptions
    from dag.core.package.model import Package


def show_packages(lines: Sequence[str], kind: Kind) -> None:
    """Write lines about packages to stdout."""
    if kind is Kind.JSON:
        show_document("".join(f"{line}\n" for line in lines))
    else:
        show(lines)


def tell_notes(graph: Graph, packages: Sequence[Package], options: GraphOptions) -> None:
    """Write what the order of `packages` doesn't show: dropped edges, choices, what is missing."""
    from dag.report.obstacles import unmet_lines
    from dag.report.words import some

    names = [one.name for one in packages]
    if not options.packages or options.show_dependents:
        tell_stopped(graph.stopped(), graph.broken_needs, verbose=options.verbose)
    _tell_dropped(graph, frozenset(names), verbose=options.verbose)
    for line in unmet_lines(graph, names, options.repositories, verbose=options.verbose):
        say(line)
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
