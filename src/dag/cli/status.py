"""`dag status`: how a build of a store stands or ended, read from its journal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dag.cli.options import command_of
from dag.cli.outputs import shown_places
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

    It is the latest one, or the one whose id is RUN or begins with that, for each architecture that
    it was for. A build that runs is not disturbed. The exit code is 0 if everything is built or the
    build still runs, 3 if nobody drives a run in a cluster any more, and otherwise that of `dag
    build`. A store that only pods reach is read by a small one: the flags below "with --on
    kubernetes" are for that.
    """
    from dag.core.build.result import exit_code_of
    from dag.core.jobs.history import RunQuery
    from dag.report.files import results_to_json, to_json
    from dag.report.terminal import show, show_document
    from dag.run.build.runs import read_status
    from dag.run.jobs.history import opened_runs
    from dag.run.jobs.standing import look_at_run

    if len(options.runs) > 1 or (options.runs and options.all):
        raise UsageError(
            "dag status tells of one run, or with --all of all of them",
            hint="name one run, or give --all alone",
        )
    if options.all:
        return _list(options)
    words = "".join(options.runs)
    if options.is_on_cluster and (standings := look_at_run(options, words)):
        return _tell_standings(standings, options)
    with opened_runs(options, RunQuery(run=words)) as runs:
        found = runs.find(words)
        each = [read_status(store, found.id or words) for store in found.stores]
    codes = {0 if one.is_alive else one.result.exit_code for one in each}
    code = 0 if any(one.is_alive for one in each) else exit_code_of(codes)
    places = shown_places(options, [one.result for one in each])
    if options.json and len(each) > 1:
        told = [(one.result, one.is_alive) for one in each]
        show_document(results_to_json(told, places, exit_code=code))
    elif options.json:
        show_document(to_json(each[0].result, places, is_alive=each[0].is_alive))
    else:
        show([f"run {each[0].id}"])
        for one in each:
            label = f"{one.result.arch}: " if len(each) > 1 else ""
            lines = _lines(one, store=places.store, verbosity=options.verbose)
            show(line if line.startswith(" ") else f"{label}{line}" for line in lines)
    return code


def _tell_standings(standings: list[Standing], options: ClusterStatusOptions) -> int:
    from dag.report.standing import standings_exit_code, standings_json, standings_lines
    from dag.report.terminal import show, show_document

    if options.json:
        show_document(standings_json(standings))
    else:
        show(standings_lines(standings, time.time()))
    return standings_exit_code(standings)


def _lines(status: RunStatus, *, store: str, verbosity: int) -> list[str]:
    from dag.core.build.states import LIVE
    from dag.report.progress import result_lines
    from dag.report.words import seconds

    result, lines = status.result, []
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
    from dag.run.jobs.history import opened_runs

    found = []
    with opened_runs(options, RunQuery(every=True)) as runs:
        statuses = list(runs.statuses())
    archs = {status.result.arch for status in statuses if not isinstance(status, UsageError)}
    for status in statuses:
        if isinstance(status, UsageError):
            say(status.message)
            continue
        arch = status.result.arch
        said = headline(status.result)
        if options.json:
            found.append(
                {
                    "run": status.id,
                    "arch": arch,
                    "began": status.began,
                    "running": status.is_alive,
                    "exit_code": None if status.is_alive else status.result.exit_code,
                    "words": said,
                }
            )
        else:
            label = f"{arch}: " if len(archs) > 1 else ""
            show([f"{status.id}  {label}{'running: ' if status.is_alive else ''}{said}"])
    if options.json:
        show_document(envelope("runs", {"runs": found}))
    return 0
