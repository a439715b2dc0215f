"""`dag text`: packages in the order in which they can be built."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.core.graph.options import TextOptions


@command_of(
    TextOptions,
    ("Print what brotli needs, and brotli at the end.", "dag text brotli"),
    ("Print the names of all that brotli is needed by.", "dag text -D -t name brotli"),
)
def command(options: TextOptions) -> None:
    """Print packages in the order in which they can be built.

    These are PKG and what they depend on, or everything. What is needed goes first, and what can be
    built at the same time is in the order of the names. An edge that closes a cycle is left out.
    """
    from dag.cli.graphs import show_packages, tell_notes
    from dag.core.graph.draw import descriptions, lines
    from dag.report.envelope import envelope
    from dag.report.terminal import show_document
    from dag.run.graph.reading import read_graph, selected_packages, target_rules

    makefile = target_rules(options)
    graph = read_graph(options, options.repositories)
    packages = selected_packages(graph, options)
    tell_notes(graph, packages, options)
    if options.json:
        show_document(envelope("packages", {"packages": descriptions(graph, packages)}))
    else:
        found = lines(graph, packages, options.kind, options.arch, makefile)
        show_packages(found, options.kind)
