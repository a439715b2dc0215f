"""`dag report`: a page about a build of a store."""

from __future__ import annotations

from pathlib import Path

from dag.cli.options import command_of
from dag.core.build.options import ReportOptions
from dag.errors import UsageError


@command_of(
    ReportOptions,
    ("Write a page about the latest build of this directory.", "dag report"),
    ("Write one about an earlier build.", "dag report --out monday.html 20260829-1412"),
)
def command(options: ReportOptions) -> None:
    """Write a page about a build, for a browser.

    It is the latest build, or the one whose id is RUN or begins with that: `dag status --all` lists
    the ids. The page is one file that needs nothing else: what failed, with the logs; a timeline; the
    critical path; what has changed since the build before; and every package with the reason for
    which it was built or was not.
    """
    from dag.io import durable
    from dag.report.terminal import say, show_document
    from dag.run.build.pages import report_page
    from dag.run.build.stores import store_name, store_place

    if len(options.runs) > 1:
        raise UsageError("dag report tells of one run", hint="name the id of one, or of none")
    store = store_place(options, say).store(options.arch)
    page = report_page(store, "".join(options.runs), shown=store_name(options))
    if options.out == "-":
        show_document(page)
    else:
        durable.write(Path(options.out), page.encode(), lasting=False)
        say(f"wrote {options.out}")
