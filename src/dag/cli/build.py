"""`dag build`: every package a unit of its own, along the graph."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dag.cli.options import command_of
from dag.cli.outputs import refuse_pipe, require_directories, shown_places, write_results
from dag.core.jobs.options import AttachOptions, UnitBuildOptions
from dag.report.terminal import Paint, Terminal, instruct, say, show, show_document, tell

if TYPE_CHECKING:
    from dag.core.build.result import Result
    from dag.run.build.session import Build
    from dag.run.jobs.detach import Detached


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
    require_directories(junit=options.junit, markdown=options.markdown, report=options.report)
    refuse_pipe(report=options.report)
    if options.dry_run:
        return _plan(options)
    if not options.is_on_cluster:
        from dag.run.build.start import build_packages

        result = build_packages(options, say, planned=tell_plan)
        report_results([result], options, result.exit_code, is_several=False)
        return result.exit_code
    if options.detach:
        return _detach(options)
    from dag.run.jobs.start import build_on_cluster

    terminal = Terminal(verbosity=options.verbose)
    outcome = build_on_cluster(options, terminal, planned=tell_plan)
    if outcome.results:
        several = len(options.arch) > 1
        report_results(outcome.results, options, outcome.exit_code, is_several=several)
    for error in outcome.errors:
        if error is not outcome.worst:
            terminal.complain(error.message)
    if outcome.worst is not None:
        raise outcome.worst
    return outcome.exit_code


def _detach(options: UnitBuildOptions) -> int:
    from dag.run.jobs.detach import detach_build

    builds: list[Build] = []

    def planned(build: Build) -> None:
        builds.append(build)
        tell_plan(build)

    detached = detach_build(options, Terminal(verbosity=options.verbose), planned)
    code = _exit_code_of_plans(builds) if detached is None else 0
    tell_detached(options, detached, code)
    return code


def tell_detached(options: UnitBuildOptions, detached: Detached | None, exit_code: int) -> None:
    """Tell by what a run is driven in the cluster, if there was something to build."""
    from dag.core.jobs.publishing import publish_command
    from dag.report.envelope import envelope

    store = str(options.store)
    if options.json:
        told = {"run": detached.run, "job": detached.job} if detached else {"run": "", "job": ""}
        show_document(envelope("detached", {**told, "store": store}, exit_code=exit_code))
    if detached is None:
        say(
            "there is nothing to build, so no run is driven in the cluster; what is finished and not "
            f"published yet, `{publish_command(options)}` publishes"
        )
        return
    begun = (
        "is driven in the cluster now" if detached.is_new else "is driven in the cluster already"
    )
    say(f"run {detached.run} {begun}, by job {detached.job}")
    say(
        f"what it proves is kept in {store} and not published: `dag attach {detached.run}` follows the "
        f"run and publishes at its end; so does `dag publish --run {detached.run}` when it has ended"
    )


def _plan(options: UnitBuildOptions) -> int:
    if options.is_on_cluster:
        from dag.run.jobs.start import plan_on_cluster

        builds = plan_on_cluster(options, Terminal(verbosity=options.verbose))
    else:
        from dag.run.build.start import plan_build

        builds = (plan_build(options, say),)
    for build in builds:
        tell_plan(build)
    code = _exit_code_of_plans(builds)
    _print_plans(builds, code, as_json=options.json)
    return code


def _exit_code_of_plans(builds: Sequence[Build]) -> int:
    """Return 1 if a plan lacks something that was asked for and cannot be built, else 0."""
    return 0 if all(one.plan.is_complete for one in builds) else 1


def annotated_directory(directory: str) -> str:
    """Return a directory as GitHub's annotations name it: relative to the checkout."""
    checkout = os.environ.get("GITHUB_WORKSPACE") or "."
    return os.path.relpath(Path(directory).resolve(), Path(checkout).resolve())


def tell_plan(build: Build) -> None:
    """Say what a build will do, and what it cannot."""
    from dag.cli.graphs import tell_stopped
    from dag.core.build.plan import Absence
    from dag.report.obstacles import obstacle_lines
    from dag.report.plan import (
        SAME_VERSION_HINT,
        opened_lines,
        same_version_words,
        too_large_lines,
    )
    from dag.report.words import count, some

    plan, basis, verbose = build.plan, build.basis, build.basis.options.verbose
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
    named = basis.options.repositories
    for line in obstacle_lines(plan, basis.graph, named, basis.repositories, verbose=verbose):
        say(line)
    for line in opened_lines(plan.dropped, verbose=verbose):
        say(line)
    for line in too_large_lines(plan, build.basis.builder.limits):
        say(line)


def _print_plans(builds: Sequence[Build], exit_code: int, *, as_json: bool) -> None:
    from dag.core.build.openings import find_openings
    from dag.report.plan import LimitedPlan, plan_json, plan_lines, plans_json

    plans = []
    for build in builds:
        has = build.basis.repositories.common.versions
        openings = find_openings(build.basis.graph, build.plan, has, build.finished.records)
        plans.append(LimitedPlan(build.plan, build.basis.builder.limits, build.about, openings))
    several = len(plans) > 1
    if as_json:
        show_document(
            plans_json(plans, exit_code=exit_code)
            if several
            else plan_json(plans[0], exit_code=exit_code)
        )
        return
    for one in plans:
        if several:
            show([f"for {one.plan.arch}:"])
        show(plan_lines(one))


def report_results(
    results: Sequence[Result],
    options: UnitBuildOptions | AttachOptions,
    exit_code: int,
    *,
    is_several: bool,
) -> None:
    """Tell what came of a build, for one architecture or for several, in all forms asked for."""
    from dag.report import files
    from dag.report.progress import result_lines

    places = shown_places(options, results)
    for result in results:
        label = f"{result.arch}: " if is_several else ""
        if result.exit_code or not options.quiet:
            for line in result_lines(
                result,
                store=places.store,
                verbosity=options.verbose,
                was_followed=not is_several,  # what was told last may be of another one
            ):
                paint = Paint.FAILURE if line.startswith("FAILED ") else None
                tell(line if line.startswith(" ") else f"dag: {label}{line}", paint=paint)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from dag.report.annotations import workflow_commands

            instruct(workflow_commands(result, annotated_directory(places.directory)))
    if results and isinstance(options, UnitBuildOptions) and not options.publish:
        from dag.core.jobs.publishing import publish_command

        say(f"nothing of this is published: `{publish_command(options)}` signs and publishes it")
    write_results(
        options,
        json=lambda: (
            files.results_to_json([(one, False) for one in results], places, exit_code=exit_code)
            if is_several
            else files.to_json(results[0], places)
        ),
        junit=lambda: files.to_junit(results, places),
        markdown=lambda: files.to_markdown(results, places),
    )
