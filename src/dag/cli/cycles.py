"""`dag cycles`: where the graph goes in circles, and what would open them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.cli.graphs import availability
from dag.cli.options import command_of
from dag.core.graph.options import CyclesOptions
from dag.core.visible import visible_json

if TYPE_CHECKING:
    from dag.core.graph.edges import Component, Edge
    from dag.core.graph.graph import Graph

SHOWN = 5
MOST_SHOWN = 100
"""Cycles of each component, without -v and with it."""


@command_of(
    CyclesOptions,
    ("Show every cycle and what would open it.", "dag cycles"),
    (
        "Say which of these packages a repository has.",
        "dag cycles -r https://packages.example.org/os",
    ),
)
def command(options: CyclesOptions) -> None:
    """Show which packages need each other, and what to bootstrap.

    Packages in a cycle all need each other to be built. Whatever the order, some of them must come
    from elsewhere first. For each group of such packages, its shortest cycles are shown, and a small
    set of packages that would break it, and which of these a --repository has.
    """
    from dag.report.envelope import envelope
    from dag.report.terminal import show, show_document
    from dag.report.words import count
    from dag.run.graph.reading import read_graph

    verbose = options.verbose
    graph = read_graph(options, options.repositories)
    found = graph.components(cycles=MOST_SHOWN if verbose else SHOWN)
    if options.json or options.kind == "json":
        components = [_component_json(graph, component) for component in found]
        loops = [_loop_json(edge) for edge in graph.self_loops()]
        if options.json:
            show_document(envelope("cycles", {"components": components, "loops": loops}))
        else:
            show_document("".join(f"{visible_json(one)}\n" for one in (*components, *loops)))
        return
    for number, component in enumerate(found, start=1):
        show(_component_lines(graph, component, number, verbose=verbose))
    selfish = graph.self_loops()
    if selfish:
        show([f"needed by themselves: {count(len(selfish), 'package')}"])
        show(f"  {_self_loop(edge)}{availability(graph, edge.wanted)}" for edge in selfish)
    if not found and not selfish:
        show(["there are no cycles"])


def _self_loop(edge: Edge) -> str:
    from dag.core.graph.draw import describe

    if edge.through:
        return describe(edge)
    name = edge.need.name
    what = "itself" if name == edge.package else f"its own {name}"
    return f"{edge.package} needs {what} at {edge.where}"


def _component_lines(graph: Graph, component: Component, number: int, *, verbose: int) -> list[str]:
    from dag.core.graph.draw import describe
    from dag.report.words import count, some

    names = [one.name for one in component.packages]
    more = "" if verbose or len(names) <= 10 else " (-v)"
    words = [
        f"component {number}: {count(len(names), 'package')} that all need each other",
        f"  {some(names, len(names) if verbose else 10)}{more}",
        "  shortest cycles:",
    ]
    for cycle in component.cycles:
        words += [f"    {' → '.join([*(edge.package for edge in cycle), cycle[0].package])}"]
        words += [f"      {describe(edge)}" for edge in cycle]
    several = len(component.bootstrap)
    these = "this package" if several == 1 else f"these {several} packages"
    words.append(
        f"  bootstrapping {these} would break it: "
        + ", ".join(f"{name}{availability(graph, name)}" for name in component.bootstrap)
    )
    words.append(f"  dropped from the order: {count(len(component.dropped), 'edge')}")
    if verbose:
        words[-1] += ":"
        words += [
            f"    {describe(edge)}{availability(graph, edge.wanted)}" for edge in component.dropped
        ]
    return [*words, ""]


def _loop_json(edge: Edge) -> dict[str, object]:
    return {
        "packages": [edge.package],
        "needs": edge.need.name,
        "where": edge.where,
        "kind": edge.kind,
        "through": list(edge.through),
    }


def _component_json(graph: Graph, component: Component) -> dict[str, object]:
    return {
        "packages": [one.name for one in component.packages],
        "cycles": [[edge.package for edge in cycle] for cycle in component.cycles],
        "bootstrap": [
            {"name": name, "available": name in graph.available} for name in component.bootstrap
        ],
        "dropped": [
            {
                "package": edge.package,
                "needs": edge.need.name,
                "origin": edge.origin,
                "where": edge.where,
                "kind": edge.kind,
                "through": list(edge.through),
                "available": edge.wanted in graph.available,
            }
            for edge in component.dropped
        ],
    }
