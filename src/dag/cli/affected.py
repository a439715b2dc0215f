"""`dag affected`: what must be built again after files have changed."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.core.graph.options import AffectedOptions
from dag.report.terminal import say, show_document


@command_of(
    AffectedOptions,
    ("Print what has to be built again because of the last commit.", "dag affected --since HEAD~1"),
    (
        "Print the names of the packages that a branch itself changes.",
        "dag affected --since $(git merge-base origin/main HEAD) --direct -t name",
    ),
)
def command(options: AffectedOptions) -> None:
    """Print what must be built again after files have changed.

    A package is concerned if its definition has changed, the directory beside it that has its name,
    or a pipeline of the directory that it uses. What is not committed yet counts. Everything that
    needs such a package follows. What is needed goes first. If a definition has changed and is
    broken, the exit code is 2.
    """
    from dag.cli.graphs import show_packages, tell_stopped
    from dag.core.graph.draw import descriptions, lines
    from dag.report.envelope import envelope
    from dag.run.graph.reading import read_affected, target_rules

    makefile = target_rules(options)
    graph, found = read_affected(options)
    if options.verbose:
        for name, because in found.reasons.items():
            say(f"{name}: {', '.join(because)} changed")
    if found.unrelated:
        shown = found.unrelated if options.verbose else found.unrelated[:5]
        more = len(found.unrelated) - len(shown)
        say(
            f"files that belong to no package have changed: {', '.join(shown)}"
            + (f" and {more} more (-v)" if more else "")
        )
    stopped = graph.stopped().intersection(one.name for one in found.packages)
    tell_stopped(stopped, graph.broken_needs, verbose=options.verbose)
    chosen = [
        one
        for one in found.packages
        if one.name not in stopped and (not options.direct or one.name in found.reasons)
    ]
    if options.json:
        body = {
            "packages": descriptions(graph, chosen),
            "changed": found.reasons,
            "unrelated": found.unrelated,
        }
        show_document(envelope("affected", body))
    else:
        printed = lines(graph, chosen, options.kind, options.arch, makefile)
        show_packages(printed, options.kind)
    found.require_sound()
