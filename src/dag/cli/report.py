"""`dag report`: a page about a build of a store."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.cli.outputs import write_documents
from dag.core.jobs.options import ClusterPageOptions
from dag.errors import UsageError


@command_of(
    ClusterPageOptions,
    ("Write a page about the latest build of this directory.", "dag report"),
    ("Write one about an earlier build.", "dag report --out monday.html 20260829-1412"),
)
def command(options: ClusterPageOptions) -> None:
    """Write a page about a build, for a browser.

    It is the latest build, or the one whose id is RUN or begins with that: `dag status --all` lists
    the ids. The page is one file that needs nothing else: what failed, with the logs; a timeline; the
    critical path; what has changed since the build before; and every package with the reason for
    which it was built or was not. A run for several architectures gets a page for each, with its name in
    that of the file. A store that only pods reach is read by a small one: the flags below "with --on
    kubernetes" are for that.
    """
    from dag.core.jobs.history import RunQuery
    from dag.report.terminal import say
    from dag.run.build.pages import page_of, report_page
    from dag.run.build.stores import store_name
    from dag.run.jobs.history import opened_runs
    from dag.run.jobs.standing import look_at_run

    if len(options.runs) > 1:
        raise UsageError(
            "dag report tells of one run", hint="give the id of one run, or none for the latest"
        )
    words = "".join(options.runs)
    if options.is_on_cluster and (alive := look_at_run(options, words)):
        say(
            f"the run {alive[0].run} has not ended; until then `dag build --report` writes its page"
        )
    with opened_runs(options, RunQuery(run=words, page=True)) as runs:
        found = runs.find(words)
        if len(found.stores) > 1 and options.out == "-":
            names = " and ".join(str(one.arch) for one in found.stores)
            raise UsageError(
                f"the run {found.id} was for {names}, and each has a page",
                hint="name one with --arch, or a file with --out",
            )
        pages = {}
        for store in found.stores:
            arch = store.arch.apk if len(found.stores) > 1 else ""
            page = report_page(store, found.id or words, shown=store_name(options))
            pages[page_of(options.out, arch)] = page
        write_documents(pages, flag="out", json=options.json)
