"""`dag logs`: what the build of a package wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.cli.options import command_of
from dag.core.jobs.options import ClusterLogsOptions
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.run.build.storedruns import StoredRuns


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
    from dag.run.jobs.history import opened_runs

    if len(options.words) not in (1, 2):
        raise UsageError(
            "dag logs takes a package, and before it the id of a run if it is not the latest",
            hint="write it like `dag logs brotli` or `dag logs 20260829-1412 brotli`",
        )
    *run, package = options.words
    words, driven = "".join(run), ""
    if options.is_on_cluster:
        from dag.run.jobs.livelogs import driven_run, live_log

        live = live_log(options, words, package, follow=options.follow)
        if live is not None:
            show_log(live, raw=options.raw, at_once=options.follow)
            return
        driven = driven_run(options, words)
    with opened_runs(options, RunQuery(run=words, unit=package)) as runs:
        if not (driven and options.follow) or runs.has_log(package, driven):
            _show_stored(runs, options, words, driven)
            return
    say(f"{_not_begun(driven, package)}: waiting for it")
    live = live_log(options, driven, package, follow=True, waits=True)
    if live is not None:
        show_log(live, raw=options.raw, at_once=True)
        return
    with opened_runs(options, RunQuery(run=driven, unit=package)) as runs:
        _show_stored(runs, options, driven)


def _show_stored(
    runs: StoredRuns, options: ClusterLogsOptions, words: str, driven: str = ""
) -> None:
    """Show the log that a store has of the package of the flags.

    `driven` is the id of a run that may still build it; empty if there is none.

    Raises:
        UsageError: there is no such run, or no such log yet.

    """
    from dag.report.terminal import say, show_log
    from dag.run.build.runs import NoSuchRun, read_log

    package = options.words[-1]
    if driven and not runs.has_log(package, driven):
        not_begun = _not_begun(driven, package)
        refusal = UsageError(
            not_begun, hint="`dag logs -f` waits for it; `dag status` tells how far the run is"
        )
        try:
            earlier = runs.find_log(package, words).id
        except NoSuchRun:
            raise refusal from None
        if not runs.has_log(package, earlier):
            raise refusal
        say(f"{not_begun}; this log is of run {earlier}")
    (store,) = runs.find_log(package, words).stores
    found = read_log(store, package, words, say=say, follow=options.follow)
    show_log(found, raw=options.raw, at_once=options.follow)


def _not_begun(run: str, package: str) -> str:
    return f"run {run} is under way, and {package} has not begun in it"
