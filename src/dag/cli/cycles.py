"""`dag cycles`: where the graph goes in circles, and what would open them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dag.cli import graphs, options
from dag.cli.options import option

if TYPE_CHECKING:
    from dag.core.arch import Arch
    from dag.core.graph.graph import Component, Graph

SHOWN = 5


@options.command(name="cycles")
@options.directory
@options.arch
@options.pipeline_dirs
@options.build_options
@graphs.repositories
@option(
    "-t",
    "--type",
    "kind",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Words, or one object a component.",
)
@options.verbose
def command(
    *,
    directory: str,
    arch: Arch,
    pipeline_dirs: tuple[str, ...],
    build_options: tuple[str, ...],
    repositories: tuple[str, ...],
    kind: str,
    verbose: int,
) -> None:
    """Show each cycle's packages, its shortest circles, and what to bootstrap to break it.

    Packages in a cycle all need each other to be built. Whatever `dag` orders, some of them must
    come from elsewhere first: a small such set is shown, and which of it a --repository has.
    """
    from dag.report.words import count

    graph = graphs.load(directory, arch, pipeline_dirs, repositories, build_options)
    found = graph.components(cycles=100 if verbose else SHOWN)
    if kind == "json":
        for component in found:
            click.echo(json.dumps(_fields(graph, component), ensure_ascii=False))
        for edge in graph.self_loops():
            fields = {"packages": [edge.package], "needs": edge.need.name, "where": edge.where}
            click.echo(json.dumps(fields, ensure_ascii=False))
        return
    for number, component in enumerate(found, start=1):
        click.echo("\n".join(_words(graph, component, number, verbose=verbose)))
    loops = graph.self_loops()
    if loops:
        click.echo(f"needed by themselves: {count(len(loops), 'package')}")
        for edge in loops:
            name = edge.need.name
            what = "itself" if name == edge.package else f"its own {name}"
            click.echo(f"  {edge.package} needs {what} at {edge.where}{_have(graph, name)}")
    if not found and not loops:
        click.echo("there are no cycles")


def _words(graph: Graph, component: Component, number: int, *, verbose: int) -> list[str]:
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
    words.append(
        f"  bootstrapping these {len(component.bootstrap)} would break it: "
        + ", ".join(f"{name}{_have(graph, name)}" for name in component.bootstrap)
    )
    words.append(f"  dropped from the order: {count(len(component.dropped), 'edge')}")
    if verbose:
        words[-1] += ":"
        words += [
            f"    {describe(edge)}{_have(graph, edge.need.name)}" for edge in component.dropped
        ]
    return [*words, ""]


def _have(graph: Graph, name: str) -> str:
    return " (a repository has it)" if name in graph.available else ""


def _fields(graph: Graph, component: Component) -> dict[str, object]:
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
                "available": edge.need.name in graph.available,
            }
            for edge in component.dropped
        ],
    }
