"""`dag svg`: the graph as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dag.cli import graphs, options
from dag.cli.options import option
from dag.report.terminal import say

if TYPE_CHECKING:
    from dag.core.arch import Arch

MANY = 300
"""Packages beyond which Graphviz takes minutes and nobody can read the picture."""


@options.command(name="svg")
@click.argument("packages", nargs=-1, metavar="[PKG]...")
@options.directory
@options.arch
@options.pipeline_dirs
@options.build_options
@graphs.repositories
@graphs.show_dependents
@option(
    "-o",
    "--out",
    own="svg",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="File; - for stdout.",
)
@option(
    "--format",
    "form",
    type=click.Choice(["svg", "dot"]),
    default="svg",
    help="A picture, or Graphviz' language.",
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
    out: str | None,
    form: str,
    verbose: int,
    show_dependents: bool,
) -> None:
    """Draw PKG and what they depend on, or everything, into dag.svg (dag.dot)."""
    from dag.core.graph.draw import dot

    graph = graphs.load(directory, arch, pipeline_dirs, repositories, build_options)
    if not packages:
        chosen = graph.order()
    else:
        chosen = graph.dependents(packages) if show_dependents else graph.closure(packages)
    if len(chosen) > MANY and form == "svg":
        say(
            f"{len(chosen):,} packages make a picture that takes Graphviz minutes and nobody can "
            "read; select some, or take `--format dot`"
        )
    graphs.tell(graph, [one.name for one in chosen], arch, verbose=verbose)
    data = dot(graph, chosen).encode()
    if form == "svg":
        from dag.io.graph.graphviz import render

        data = render(data.decode())
    target = out or f"dag.{form}"
    if target == "-":
        sys.stdout.buffer.write(data)
    else:
        Path(target).write_bytes(data)
        say(f"wrote {target}")
