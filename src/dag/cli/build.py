"""`dag build`: every package a unit of its own, along the graph."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dag.cli.options import command_of
from dag.cli.outputs import refuse_pipe, require_directories, write_results
from dag.core.jobs.options import UnitBuildOptions
from dag.report.terminal import Paint, Terminal, instruct, say, show, show_document, tell

if TYPE_CHECKING:
    from dag.core.build.result import Result
    from dag.run.build.session import Build


@command_of(
    UnitBuildOptions,
    ("Build brotli and what is missing of its needs.", "dag build brotli"),
    ("Print what would be built, and why.", "dag build --dry-run"),
    (
        "Share what is built with other machines.",
        "dag build --store s3://packages/wolfi --signing-key my.rsa",
    ),
    (
        "Build brotli anew, and what is built with it.",
        "dag build --rebuild brotli --rebuild dependents",
    ),
)
def command(options: UnitBuildOptions) -> int:
    """Build packages as units, on this machine or as Jobs on Kubernetes.

    These are PKG and what they need, or everything. What the store or a repository has is not built
    again. Stop it whenever you like and run it again: what is finished stays. The exit code is 0 if
    everything that was asked for is there, 1 if something failed, 2 if the request was wrong, 3 if
    the machine failed, and 130 after an interruption.
    """
    from dag.core.build.plan import Absence
    from dag.run.build.start import build_packages, plan_build

    require_directories(junit=options.junit, markdown=options.markdown, report=options.report)
    refuse_pipe(report=options.report)
    if options.dry_run:
        if options.is_on_cluster:
            from dag.run.jobs.start import plan_on_cluster

            build = plan_on_cluster(options, Terminal(verbosity=options.verbose))
        else:
            build = plan_build(options, say)
        _tell_plan(build)
        impossible = any(
            one.named and one.absence is Absence.OTHER_ARCH for one in build.plan.skipped
        )
        code = 1 if build.plan.stuck or build.plan.unbuildable or impossible else 0
        _print_plan(build, code)
        return code
    if options.is_on_cluster:
        from dag.run.jobs.start import build_on_cluster

        terminal = Terminal(verbosity=options.verbose)
        result = build_on_cluster(options, terminal, planned=_tell_plan)
    else:
        result = build_packages(options, say, planned=_tell_plan)
    _report(result, options)
    return result.exit_code


def annotated_directory(directory: str) -> str:
    """Return a directory as GitHub's annotations name it: relative to the checkout."""
    checkout = os.environ.get("GITHUB_WORKSPACE") or "."
    return os.path.relpath(Path(directory).resolve(), Path(checkout).resolve())


def _tell_plan(build: Build) -> None:
    from dag.cli.graphs import tell_missing, tell_stopped
    from dag.core.build.plan import Absence
    from dag.report.plan import SAME_VERSION_HINT, opened_lines, same_version_words
    from dag.report.words import blocked_lines, count, ring, some

    plan, verbose = build.plan, build.options.verbose
    elsewhere = [one.package.name for one in plan.skipped if one.absence is Absence.OTHER_ARCH]
    stopped = {
        one.package.name: one.because for one in plan.skipped if one.absence is Absence.STOPPED
    }
    say(
        f"{count(len(plan.steps), 'package')} to build for {plan.arch}, "
        f"{len(plan.skipped) - len(elsewhere) - len(stopped):,} there already"
        + (f", not for {plan.arch}: {some(elsewhere)}" if elsewhere else "")
    )
    tell_stopped(stopped, stopped, verbose=verbose)
    if plan.same_version:
        say(f"{same_version_words(plan)}; {SAME_VERSION_HINT}")
    for line in blocked_lines(plan.unbuildable):
        say(line)
    for cycle in plan.stuck:
        say(
            f"a cycle of {count(len(cycle.packages), 'package')} cannot be built: "
            f"{ring(cycle.cycles[0])}"
        )
        if holder := build.repositories.holder(cycle.bootstrap):
            say(f"{holder} has what may open it: -r makes that known to all packages")
    names = (step.package.name for step in plan.steps)
    tell_missing(build.graph, names, verbose=verbose, repositories=build.repositories)
    for line in opened_lines(plan.dropped, verbose=verbose):
        say(line)


def _print_plan(build: Build, exit_code: int) -> None:
    from dag.core.build.openings import find_openings
    from dag.report.plan import plan_json, plan_lines

    plan, limits = build.plan, build.limits
    has = build.repositories.common.versions
    openings = find_openings(build.graph, plan, has, build.finished.records)
    if build.options.json:
        show_document(plan_json(plan, limits, build.about, openings, exit_code=exit_code))
    else:
        show(plan_lines(plan, limits, openings))


def _report(result: Result, options: UnitBuildOptions) -> None:
    from dag.report.files import ShownPlaces, to_json, to_junit, to_markdown
    from dag.report.progress import result_lines
    from dag.run.build.stores import store_name

    if result.exit_code or not options.quiet:
        for line in result_lines(
            result, store=store_name(options), verbosity=options.verbose, was_followed=True
        ):
            paint = Paint.FAILURE if line.startswith("FAILED ") else None
            tell(line if line.startswith(" ") else f"dag: {line}", paint=paint)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from dag.report.annotations import workflow_commands

        instruct(workflow_commands(result, annotated_directory(options.directory)))
    places = ShownPlaces(store=store_name(options), directory=options.directory)
    write_results(
        options,
        json=lambda: to_json(result, places),
        junit=lambda: to_junit(result, places),
        markdown=lambda: to_markdown(result, places),
    )
