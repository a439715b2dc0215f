"""`dag path`: why one package needs another."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.core.graph.options import PathOptions
from dag.core.visible import visible_json
from dag.report.terminal import say, show, show_document


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
    from dag.run.graph.reading import read_graph

    graph = read_graph(options)
    edges = graph.path(options.start, options.goal)
    if edges is None:
        graph.closure([options.start])  # raises if a broken definition may have hidden the way
        say(f"{options.start} doesn't need {options.goal}")
        return 1
    if not edges:
        say(f"{options.start} and {options.goal} are the same package")
    for edge in edges:
        if options.kind == "text":
            show([describe(edge)])
        else:
            fields = {
                "package": edge.package,
                "needs": edge.need.text,
                "origin": edge.origin,
                "file": edge.need.file,
                "line": edge.need.line,
                "reason": edge.need.reason,
                "kind": edge.kind,
                "through": list(edge.through),
            }
            show_document(f"{visible_json(fields)}\n")
    return 0
