"""`dag logs`: what the build of a package wrote."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.core.jobs.options import ClusterLogsOptions
from dag.errors import UsageError


@command_of(
    ClusterLogsOptions,
    ("Print the latest log of brotli.", "dag logs brotli"),
    ("Print what brotli's build writes, until it ends.", "dag logs -f brotli"),
    ("Print its log of an earlier build.", "dag logs 20260829-1412 brotli"),
)
def command(options: ClusterLogsOptions) -> None:
    """Print the log of a package's build.

    It is the latest one, or that of the build whose id is RUN or begins with that: `dag status
    --all` lists the ids. If a run has built the package for several architectures, name one with
    --arch. Whatever a terminal would obey is shown instead; with --raw the bytes come as they are. A
    store that only pods reach is read by a small one: the flags below "with --on kubernetes" are for
    that.
    """
    from dag.core.jobs.history import RunQuery
    from dag.report.terminal import say, show_log
    from dag.run.build.runs import read_log
    from dag.run.jobs.history import opened_runs

    if len(options.words) not in (1, 2):
        raise UsageError(
            "dag logs takes a package, and before it the id of a run if it is not the latest",
            hint="write it like `dag logs brotli` or `dag logs 20260829-1412 brotli`",
        )
    *run, package = options.words
    words = "".join(run)
    if options.is_on_cluster:
        from dag.run.jobs.livelogs import live_log

        live = live_log(options, words, package, follow=options.follow)
        if live is not None:
            show_log(live, raw=options.raw, at_once=options.follow)
            return
    with opened_runs(options, RunQuery(run=words, unit=package)) as runs:
        (store,) = runs.find_log(package, words).stores
        found = read_log(store, package, words, say=say, follow=options.follow)
        show_log(found, raw=options.raw, at_once=options.follow)
