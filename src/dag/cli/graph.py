"""`dag graph`: a page on which the graph can be searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.cli.options import command_of
from dag.cli.outputs import write_documents
from dag.core.build.graphoptions import GraphPageOptions
from dag.errors import UsageError
from dag.report.terminal import say

if TYPE_CHECKING:
    from collections.abc import Mapping


@command_of(
    GraphPageOptions,
    ("Write a page about all packages.", "dag graph"),
    ("Write one about brotli and what needs it.", "dag graph -D --html brotli.html brotli"),
)
def command(options: GraphPageOptions) -> None:
    """Write a page on which the graph can be searched, for a browser.

    It shows a package with what is around it, or the way from one package to another, and never more
    than one can look at. It is about PKG and what they depend on, or everything. Packages have the
    colours of what became of them in the latest `dag build`, if there was one.
    """
    from dag.cli.graphs import tell_notes
    from dag.core.graph.sketch import make_sketch
    from dag.report.page.graph import graph_page
    from dag.run.graph.reading import read_graph, selected_packages

    graph = read_graph(options, options.repositories)
    packages = selected_packages(graph, options)
    tell_notes(graph, packages, options)
    asked = [one.name for name in options.packages if (one := graph.origin(name))]
    starts = asked or [one.name for one in packages[-1:]]
    page = graph_page(make_sketch(graph, packages), _states(options), starts)
    write_documents({options.html: page}, flag="html", json=options.json)


def _states(options: GraphPageOptions) -> Mapping[str, str]:
    """Return what became of packages in the latest build; say why nothing is known of it."""
    from dag.run.build.runs import NoSuchRun, read_status
    from dag.run.build.stores import store_place

    try:
        result = read_status(store_place(options, say).store(options.arch)).result
    except UsageError as error:
        # Nobody asked for a build that was none, unless they named its store.
        if options.store or not isinstance(error, NoSuchRun):
            say(f"the packages have no colours: {error.message}")
        return {}
    return {unit.name: unit.state for unit in result.units}
