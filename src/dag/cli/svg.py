"""`dag svg`: the graph as a picture."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.cli.outputs import write_documents
from dag.core.graph.options import SvgOptions
from dag.report.terminal import say

MANY = 300
"""Packages beyond which Graphviz takes minutes and nobody can read the picture."""


@command_of(
    SvgOptions,
    ("Draw brotli and what it needs into dag.svg.", "dag svg brotli"),
    ("Draw only what is next to it.", "dag svg --depth 1 brotli"),
    ("Describe everything in the language of Graphviz.", "dag svg --format dot --out -"),
)
def command(options: SvgOptions) -> None:
    """Draw the graph of packages as a picture.

    It shows PKG and what they depend on, or everything. Graphviz has to be installed for a picture.
    """
    from dag.cli.graphs import tell_notes
    from dag.core.graph.draw import dot
    from dag.core.graph.sketch import make_sketch, nearest, reduced
    from dag.run.graph.reading import read_graph, selected_packages

    graph = read_graph(options, options.repositories)
    packages = selected_packages(graph, options)
    sketch = make_sketch(graph, packages)
    if options.depth is not None:
        starts = options.packages or [one.name for one in packages]
        named = [one.name if (one := graph.origin(name)) else name for name in starts]
        sketch = nearest(sketch, named, options.depth, dependents=options.show_dependents)
        packages = list(sketch.packages)
    if options.reduce:
        sketch = reduced(sketch)
    if len(packages) > MANY and options.form == "svg":
        say(
            f"{len(packages):,} packages make a picture that takes Graphviz minutes and nobody can "
            "read; --depth and --reduce make it smaller, and `dag graph` makes a page to search"
        )
    tell_notes(graph, packages, options)
    picture = dot(sketch)
    if options.form == "svg":
        from dag.io.graph.graphviz import render

        picture = render(picture)
    target = options.out or f"dag.{options.form}"
    write_documents({target: picture}, flag="out", json=options.json)
