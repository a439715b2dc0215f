"""`dag path`: why one package needs another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.cli.options import command_of
from dag.core.graph.options import PathOptions
from dag.core.visible import visible_json
from dag.report.envelope import envelope
from dag.report.terminal import say, show, show_document

if TYPE_CHECKING:
    from dag.core.graph.edges import Edge


@command_of(
    PathOptions,
    ("Explain why brotli needs busybox.", "dag path brotli busybox"),
    ("Have the same as JSON, one object for each edge.", "dag path -t json brotli busybox"),
)
def command(options: PathOptions) -> int:
    """Explain why one package needs another.

    It prints a shortest chain of packages from A to B, with file and line of each edge. If A needs B
    because a package that is installed to build A needs it at run time, that is said. The exit code
    is 1 if A doesn't need B to be built.
    """
    from dag.core.graph.draw import describe
    from dag.core.graph.externals import path_to
    from dag.run.graph.reading import read_graph

    graph = read_graph(options)
    edges = path_to(graph, options.start, options.goal)
    if edges is None:
        graph.closure([options.start])  # raises if a broken definition may have hidden the way
        say(f"{options.start} doesn't need {options.goal}")
        if options.json:
            show_document(envelope("path", {"edges": None}, exit_code=1))
        return 1
    if not edges:
        say(f"{options.start} and {options.goal} are the same package")
    if options.json:
        show_document(envelope("path", {"edges": [_edge_json(edge) for edge in edges]}))
    elif options.kind == "text":
        show(describe(edge) for edge in edges)
    else:
        show_document("".join(f"{visible_json(_edge_json(edge))}\n" for edge in edges))
    return 0


def _edge_json(edge: Edge) -> dict[str, object]:
    return {
        "package": edge.package,
        "needs": edge.need.text,
        "origin": edge.origin,
        "file": edge.need.file,
        "line": edge.need.line,
        "reason": edge.need.reason,
        "kind": edge.kind,
        "through": list(edge.through),
    }
