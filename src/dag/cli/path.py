"""`dag path`: why one package needs another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dag.cli import graphs, options
from dag.cli.options import option
from dag.report.terminal import say

if TYPE_CHECKING:
    from dag.core.arch import Arch


@options.command(name="path")
@click.argument("start", metavar="A")
@click.argument("goal", metavar="B")
@options.directory
@options.arch
@options.pipeline_dirs
@options.build_options
@option(
    "-t",
    "--type",
    "kind",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Words, or one object an edge.",
)
def command(
    *,
    start: str,
    goal: str,
    directory: str,
    arch: Arch,
    pipeline_dirs: tuple[str, ...],
    build_options: tuple[str, ...],
    kind: str,
) -> int:
    """Say why A needs B to be built: a shortest chain, with file and line of each edge.

    Exits with 1 if A doesn't need B.
    """
    from dag.core.graph.draw import describe

    graph = graphs.load(directory, arch, pipeline_dirs, (), build_options)
    edges = graph.path(start, goal)
    if edges is None:
        say(f"{start} doesn't need {goal}")
        return 1
    if not edges:
        say(f"{start} and {goal} are the same package")
    for edge in edges:
        if kind == "text":
            click.echo(describe(edge))
        else:
            fields = {
                "package": edge.package,
                "needs": edge.need.text,
                "origin": edge.origin,
                "file": edge.need.file,
                "line": edge.need.line,
                "reason": edge.need.reason,
            }
            click.echo(json.dumps(fields, ensure_ascii=False))
    return 0
