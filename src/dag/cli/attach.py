"""`dag attach`: follow a build that is driven in a cluster, and publish what it has proven."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.cli.build import report_results
from dag.cli.options import command_of
from dag.cli.outputs import require_directories
from dag.core.jobs.options import AttachOptions
from dag.core.jobs.publishing import PublishOptions, publish_options, run_command
from dag.errors import BuildError, DagError, InfrastructureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dag.core.build.publishing import Publishing
    from dag.core.build.result import Result
    from dag.core.jobs.handover import DriverEnd
    from dag.report.terminal import Terminal
    from dag.run.jobs.attach import FollowedRun


@command_of(
    AttachOptions,
    ("Follow the build that the cluster drives.", "dag attach --store pvc://packages"),
    ("Follow just this run.", "dag attach --store pvc://packages 20260829-1412"),
)
def command(options: AttachOptions) -> int:
    """Follow a build that is driven in a cluster.

    It is the latest one that `dag build --detach` has left there, or the one whose id is RUN or begins
    with that. What it says is printed, from its beginning; Ctrl-C only ends this command, and the build
    goes on. When the build has ended, what it has proven is signed and published, if the key is on this
    machine, and the exit code is that of the build. Within a day after a build has ended, all of this
    comes at once.
    """
    from dag.report.terminal import Terminal, tell
    from dag.run.jobs.attach import Attachment, error_of

    require_directories(junit=options.junit, markdown=options.markdown)
    if not options.is_on_cluster:
        raise UsageError(
            "dag attach follows builds on Kubernetes, and the store is none of a cluster",
            hint="name a volume claim with --store pvc://CLAIM, or a bucket and --on kubernetes",
        )
    if len(options.runs) > 1:
        raise UsageError("dag attach follows one run", hint="name the id of one, or of none")
    terminal = Terminal(verbosity=options.verbose)
    attachment = Attachment(options, (lambda _: None) if options.quiet else tell)
    job = attachment.find("".join(options.runs))
    if job is None:
        asked = " ".join(("no run", *options.runs))
        raise UsageError(
            f"{asked} is driven by a job in {options.store}, or was in the last day",
            hint="`dag status --all` lists the runs that have ended; `dag publish --run RUN` publishes what"
            " one has proven",
        )
    found = attachment.follow(job)
    failed = _publish(options, found, terminal)
    results = _results(options, found)
    code = _exit_code(found.end, results)
    if results:
        report_results(results, options, code, is_several=len(results) > 1)
    if failed is not None:
        raise failed
    if found.end is not None and found.end.words:
        raise error_of(found.end, "the run has ended")
    return code


def _publish(options: AttachOptions, found: FollowedRun, terminal: Terminal) -> DagError | None:
    """Publish what a run has proven, as `dag publish --run` does; return why that failed."""
    from dag.run.jobs.publish import publish_on_cluster

    asked = publish_options(options, found.run)
    if found.end is not None and found.end.exit_code not in (0, BuildError.exit_code):
        terminal.complain(_later(asked))
        return None
    try:
        tell_published(publish_on_cluster(asked, terminal), terminal)
    except DagError as error:
        return failure_of(asked, error, terminal)
    return None


def tell_published(each: Sequence[Publishing], terminal: Terminal) -> None:
    """Tell what is published for each architecture.

    Raises:
        InfrastructureError: something could not be.

    """
    from dag.report.publishing import publishing_lines
    from dag.run.build.signing import require_published

    for one in each:
        for line in publishing_lines(one, dry_run=False, verbose=terminal.verbosity):
            terminal.say(f"{one.arch}: {line}" if len(each) > 1 else line)
    require_published({unit.name: unit.why for one in each for unit in one.refused})


def failure_of(asked: PublishOptions, error: DagError, terminal: Terminal) -> DagError | None:
    """Return why nothing is published of a run, as whoever follows that is told.

    It is no failure that the key is on another machine: there somebody publishes.
    """
    from dag.io.store.ownkey import KeyElsewhere
    from dag.run.build.runs import NoSuchRun

    if isinstance(error, KeyElsewhere):
        terminal.complain(f"{_later(asked)} where the key is: {error.message}; {error.hint}")
        return None
    if isinstance(error, NoSuchRun):
        return InfrastructureError(
            f"the store has no journal of run {asked.run}, so nothing that it has proven is published",
            hint="`dag publish` in the directory of the definitions publishes what is finished of them",
        )
    return error


def _later(asked: PublishOptions) -> str:
    return f"what the run has proven is not published; `{run_command(asked)}` does that"


def _results(options: AttachOptions, found: FollowedRun) -> list[Result]:
    """Return what came of a run for each architecture; nothing if it has built nothing."""
    from dag.core.jobs.history import RunQuery
    from dag.run.build.runs import NoSuchRun, read_status
    from dag.run.jobs.history import opened_runs

    try:
        with opened_runs(options, RunQuery(run=found.run)) as runs:
            stores = runs.find(found.run).stores
            return [read_status(store, found.run).result for store in stores]
    except NoSuchRun:
        return []


def _exit_code(end: DriverEnd | None, results: list[Result]) -> int:
    """Return the exit code of a run: its driver's, or what follows from the results."""
    from dag.core.build.result import exit_code_of

    if end is not None:
        return end.exit_code
    if results:
        return exit_code_of({one.exit_code for one in results})
    return InfrastructureError.exit_code
