"""`dag text`: packages in the order in which they can be built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dag.cli import graphs, options
from dag.cli.options import option

if TYPE_CHECKING:
    from dag.core.arch import Arch

KINDS = ("target", "name", "version", "name-version", "makefile", "json")


@options.command(name="text")
@click.argument("packages", nargs=-1, metavar="[PKG]...")
@options.directory
@options.arch
@options.pipeline_dirs
@options.build_options
@graphs.repositories
@graphs.show_dependents
@option(
    "-t", "--type", "kind", type=click.Choice(KINDS), default="target", help="What a line says."
)
@options.verbose
def command(
    *,
    packages: tuple[str, ...],
    directory: str,
    arch: Arch,
    pipeline_dirs: tuple[str, ...],
    build_options: tuple[str, ...],
    repositories: tuple[str, ...],
    kind: str,
    verbose: int,
    show_dependents: bool,
) -> None:
    """Print PKG and what they depend on, or everything: dependencies first, ties by name."""
    from dag.core.graph.draw import Kind, lines

    graph = graphs.load(directory, arch, pipeline_dirs, repositories, build_options)
    if not packages:
        chosen = graph.order()
    else:
        chosen = graph.dependents(packages) if show_dependents else graph.closure(packages)
    graphs.tell(graph, [one.name for one in chosen], arch, verbose=verbose)
    text = "".join(f"{line}\n" for line in lines(graph, chosen, Kind(kind), arch))
    click.echo(text, nl=False)
