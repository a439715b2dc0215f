"""`dag status`: how a build of a store stands or ended, read from its journal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dag.cli.options import command_of
from dag.core.jobs.options import ClusterStatusOptions
from dag.errors import UsageError

if TYPE_CHECKING:
    from dag.core.jobs.standing import Standing
    from dag.run.build.runs import RunStatus


@command_of(
    ClusterStatusOptions,
    ("See how the build of this directory stands.", "dag status"),
    ("List all builds that the store remembers.", "dag status --all"),
    ("Have everything that is known about the latest one as JSON.", "dag status --json"),
)
def command(options: ClusterStatusOptions) -> int:
    """Tell how a `dag build` stands, or how it ended.

    It is the latest one, or the one whose id is RUN or begins with that. A build that runs is not
    disturbed. The exit code is 0 if everything is built or the build still runs, 3 if nobody drives
    a run in a cluster any more, and otherwise that of `dag build`. A store that only pods reach is
    read by a small one: the flags below "with --on kubernetes" are for that.
    """
    from dag.core.jobs.history import RunQuery
    from dag.report.files import ShownPlaces, to_json
    from dag.report.terminal import show, show_document
    from dag.run.build.runs import read_status
    from dag.run.build.stores import store_name
    from dag.run.jobs.history import opened_runs
    from dag.run.jobs.standing import look_at_run

    if len(options.runs) > 1 or (options.runs and options.all):
        raise UsageError(
            "dag status tells of one run, or with --all of all of them",
            hint="name one run, or give --all alone",
        )
    if options.all:
        return _list(options)
    words, name = "".join(options.runs), store_name(options)
    if options.is_on_cluster and (standing := look_at_run(options, words)) is not None:
        return _tell_standing(standing, options)
    with opened_runs(options, RunQuery(run=words)) as store:
        status = read_status(store, words)
    if options.json:
        places = ShownPlaces(store=name, directory=options.directory)
        show_document(to_json(status.result, places, is_alive=status.is_alive))
    else:
        show(_lines(status, store=name, verbosity=options.verbose))
    return 0 if status.is_alive else status.result.exit_code


def _tell_standing(standing: Standing, options: ClusterStatusOptions) -> int:
    from dag.report.envelope import envelope
    from dag.report.standing import standing_json, standing_lines
    from dag.report.terminal import show, show_document

    code = 0 if standing.driver else 3  # as if it had ended for lack of a driver
    if options.json:
        show_document(envelope("jobs", standing_json(standing), exit_code=code))
    else:
        show(standing_lines(standing, time.time()))
    return code


def _lines(status: RunStatus, *, store: str, verbosity: int) -> list[str]:
    from dag.core.build.states import LIVE
    from dag.report.progress import result_lines
    from dag.report.words import seconds

    result, lines = status.result, [f"run {status.id}"]
    for unit in result.units:
        if status.is_alive and unit.state in {state.value for state in LIVE}:
            took = seconds(result.seconds - (unit.started or 0.0))
            lines.append(f"{unit.state} {unit.name} {unit.version} for {took}")
    left = sum(unit.ended is None and not unit.blocked_by for unit in result.units)
    if status.is_alive:
        lines.append(f"running; {left:,} of {len(result.units):,} units are left")
    elif not result.finished:
        lines.append("not running: it ended before its work was done; `dag build` goes on")
    return [*lines, *result_lines(result, store=store, verbosity=verbosity)]


def _list(options: ClusterStatusOptions) -> int:
    from dag.core.jobs.history import RunQuery
    from dag.report.envelope import envelope
    from dag.report.files import headline
    from dag.report.terminal import say, show, show_document
    from dag.run.build.runs import read_all
    from dag.run.jobs.history import opened_runs

    found = []
    with opened_runs(options, RunQuery(every=True)) as store:
        runs = list(read_all(store))
    for status in runs:
        if isinstance(status, UsageError):
            say(status.message)
            continue
        said = headline(status.result)
        if options.json:
            found.append(
                {
                    "run": status.id,
                    "began": status.began,
                    "running": status.is_alive,
                    "exit_code": None if status.is_alive else status.result.exit_code,
                    "words": said,
                }
            )
        else:
            show([f"{status.id}  {'running: ' if status.is_alive else ''}{said}"])
    if options.json:
        show_document(envelope("runs", {"runs": found}))
    return 0
