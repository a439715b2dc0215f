"""From the flags of the graph's commands to the graph, and what each of them says about it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dag.cli.options import option, switch
from dag.report.terminal import say

if TYPE_CHECKING:
    from dag.core.arch import Arch
    from dag.core.graph.graph import Graph

F = TypeVar("F", bound=Callable[..., Any])

repositories = option(
    "-r",
    "--repository",
    "repositories",
    type=click.Path(),
    multiple=True,
    metavar="DIR|URL",
    help="What this repository has satisfies what is not defined here, and opens cycles.",
)
show_dependents = switch(
    "show-dependents",
    "-D",
    default=False,
    help="What depends on these, instead of what these depend on.",
)


def load(
    directory: str,
    arch: Arch,
    pipeline_dirs: Sequence[str],
    repositories: Sequence[str] = (),
    build_options: Sequence[str] = (),
) -> Graph:
    """Read the directory and make its graph.

    Raises:
        UsageError: a definition or an index is wrong.

    """
    from dag.core.graph.graph import Graph
    from dag.io.package.definitions import read

    gc.disable()  # the command ends soon, and all that it reads stays until then
    packages = read(
        Path(directory),
        arch=arch.apk,
        pipeline_dirs=[Path(one) for one in pipeline_dirs],
        build_options=build_options,
    )
    if not repositories:
        return Graph(packages)
    from dag.io.package.apkindex import repository

    return Graph(packages, available=repository(repositories, arch).names)


def tell(graph: Graph, names: Sequence[str], arch: Arch, *, verbose: int) -> None:
    """Say on stderr what the order of `names` doesn't show: dropped edges, choices, externals."""
    from dag.report.words import some

    inside = set(names)
    _tell_dropped(graph, inside, verbose=verbose)
    tell_missing(graph, names, verbose=verbose)
    elsewhere = [one for one in names if not _package(graph, one).builds_on(arch.apk)]
    if elsewhere:
        say(f"not for {arch}, melange skips it: {some(elsewhere)}")
    if verbose:
        for choice in graph.choices:
            others = ", ".join(choice.others)
            say(f"{choice.name} is provided by {choice.chosen}, which goes before {others}")


def tell_missing(graph: Graph, names: Iterable[str], *, verbose: int) -> None:
    """Say what some of `names` need that is neither defined nor in a repository that was named."""
    from dag.report.words import missing_lines

    missing = graph.missing(frozenset(names))
    for line in missing_lines(missing, others=bool(graph.available), verbose=verbose):
        say(line)


def _package(graph: Graph, name: str) -> Any:  # noqa: ANN401
    package = graph.origin(name)
    assert package is not None  # noqa: S101  # the names come from the graph
    return package


def _tell_dropped(graph: Graph, inside: set[str], *, verbose: int) -> None:
    from dag.core.graph.draw import describe
    from dag.report.words import count

    dropped = [edge for edge in graph.dropped_edges if edge.package in inside]
    if not dropped:
        return
    if verbose:
        for edge in dropped:
            have = " (a repository has it)" if edge.need.name in graph.available else ""
            say(f"dropped, must be bootstrapped{have}: {describe(edge)}")
        return
    satisfied = sum(edge.need.name in graph.available for edge in dropped)
    loops = sum(edge.package == edge.origin for edge in dropped)
    first = describe(dropped[0])
    say(
        f"dropped from the order because of cycles: {count(len(dropped), 'edge')}"
        f" ({loops} of them packages that need themselves"
        + (f", {satisfied} that a repository has" if graph.available else "")
        + f"), so what they name must be bootstrapped: {first}"
        + ("; and so on" if len(dropped) > 1 else "")
        + "; -v names all, `dag cycles` explains"
    )
