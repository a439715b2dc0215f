"""`dag affected`: what must be built again after files changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dag.cli import graphs, options
from dag.cli.options import option, switch
from dag.cli.text import KINDS
from dag.report.terminal import say

if TYPE_CHECKING:
    from dag.core.arch import Arch


@options.command(name="affected")
@options.directory
@options.arch
@options.pipeline_dirs
@options.build_options
@option("--since", required=True, metavar="GITREF", help="Commit, tag or branch to compare with.")
@switch("direct", default=False, help="Only what the files concern, not what needs it.")
@option(
    "-t", "--type", "kind", type=click.Choice(KINDS), default="target", help="What a line says."
)
@options.verbose
def command(
    *,
    directory: str,
    arch: Arch,
    pipeline_dirs: tuple[str, ...],
    build_options: tuple[str, ...],
    since: str,
    direct: bool,
    kind: str,
    verbose: int,
) -> None:
    """Print what must be built again since GITREF, dependencies first.

    Changed are definitions, the directories beside them that have their name, and the directory's
    own pipelines; what is not committed yet counts. Everything that needs them follows.
    """
    from dag.core.graph.draw import Kind, lines
    from dag.run.graph.changes import affected_since

    graph = graphs.load(directory, arch, pipeline_dirs, (), build_options)
    found = affected_since(
        Path(directory), since, graph, arch, [Path(one) for one in pipeline_dirs]
    )
    for name, because in found.reasons.items():
        if verbose:
            say(f"{name}: {', '.join(because)} changed")
    if found.unrelated:
        shown = found.unrelated if verbose else found.unrelated[:5]
        more = len(found.unrelated) - len(shown)
        say(
            f"changed, but no package's own: {', '.join(shown)}"
            + (f" and {more} more (-v)" if more else "")
        )
    chosen = [one for one in found.packages if not direct or one.name in found.reasons]
    click.echo("".join(f"{line}\n" for line in lines(graph, chosen, Kind(kind), arch)), nl=False)
