"""`dag report`: a page about a build of a store."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.cli.outputs import write_document
from dag.core.build.options import RunPageOptions
from dag.errors import UsageError


@command_of(
    RunPageOptions,
    ("Write a page about the latest build of this directory.", "dag report"),
    ("Write one about an earlier build.", "dag report --out monday.html 20260829-1412"),
)
def command(options: RunPageOptions) -> None:
    """Write a page about a build, for a browser.

    It is the latest build, or the one whose id is RUN or begins with that: `dag status --all` lists
    the ids. The page is one file that needs nothing else: what failed, with the logs; a timeline; the
    critical path; what has changed since the build before; and every package with the reason for
    which it was built or was not.
    """
    from dag.report.terminal import say
    from dag.run.build.pages import report_page
    from dag.run.build.stores import store_name, store_place

    if len(options.runs) > 1:
        raise UsageError(
            "dag report tells of one run", hint="give the id of one run, or none for the latest"
        )
    store = store_place(options, say).store(options.arch)
    page = report_page(store, *options.runs, shown=store_name(options))
    write_document(page, options.out, flag="out")
