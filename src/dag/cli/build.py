"""`dag build`: every package a unit of its own, along the graph."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dag.cli import graphs, options
from dag.cli.options import option, switch
from dag.core.arch import Arch
from dag.errors import UsageError
from dag.report.terminal import say, tell

if TYPE_CHECKING:
    from dag.core.build.result import Result
    from dag.io.store.local import Store
    from dag.run.build.options import BuildOptions
    from dag.run.build.session import Build

store_option = option(
    "--store",
    type=click.Path(file_okay=False),
    help="Directory of finished packages.  [default: packages below --dir]",
)


@options.command(name="build")
@click.argument("packages", nargs=-1, metavar="[PKG]...")
@options.directory
@options.arch
@options.pipeline_dirs
@options.build_options
@store_option
@option("--on", type=click.Choice(["local", "kubernetes"]), default="local", help="Where to build.")
@option("-j", "--jobs", type=click.IntRange(1), help="Units at once.  [default: processors]")
@options.repositories
@options.keyrings
@options.only
@option(
    "--rebuild",
    multiple=True,
    metavar="PKG|dependents|all",
    help="Build this although it exists; `dependents`: what is built with something built anew.",
)
@option("--since", metavar="GITREF", help="Ask for what has changed since then.")
@switch("dry-run", default=False, help="Print the plan, build nothing.")
@switch("fail-fast", default=False, help="Stop everything at the first failure.")
@option("--retries", type=click.IntRange(0), default=0, help="Of a build that failed.")
@option("--timeout", type=options.DurationType(), help="How long one unit may take.")
@option("--cpu", type=options.QuantityType(), default="1", help="Of a unit that asks for none.")
@option("--ram", type=options.QuantityType(), default="2Gi", help="Of a unit that asks for none.")
@option(
    "--max-ram",
    type=options.QuantityType(),
    help="The most for a unit that ran out of memory.  [default: the machine's]",
)
@switch("hermetic", default=False, help="Steps of a build have no network.")
@option("--signing-key", type=click.Path(dir_okay=False, exists=True), help="Signs the packages.")
@options.make_vars
@options.target_template
@switch("wait", default=False, help="Wait for another build on this store.")
@switch("json", default=False, help="Print the plan or the result as JSON on stdout.")
@option("--junit", type=click.Path(dir_okay=False), help="Write the result here for CI.")
@option(
    "--markdown",
    type=click.Path(dir_okay=False),
    help="Write the result here.  [also appended to $GITHUB_STEP_SUMMARY]",
)
@options.verbose
def command(**given: Any) -> int:  # noqa: ANN401
    """Build PKG and what they need, or everything, one unit a package, on this machine.

    What the store or a repository has is not built again. Stop it whenever you like and run it
    again: what is finished stays. Exit codes: 0 everything asked for is there, 1 something failed,
    2 a wrong request, 3 the machine failed, 130 interrupted.
    """
    from dag.core.build.plan import Absence
    from dag.io.package.makefile import makefile_of
    from dag.run.build.stores import open_store, read_store
    from dag.run.signals import run_interruptibly

    if given["on"] != "local":
        raise UsageError(f"--on {given['on']} is not there yet")
    for flag in ("junit", "markdown"):
        place = Path(given[flag] or ".").parent
        if not place.is_dir():  # not after hours of building
            raise UsageError(f"--{flag} {given[flag]}: there is no directory {place}")
    chosen = _options(given)
    if given["dry_run"]:
        build = _planned(chosen, read_store(chosen.store, chosen.arch), given["verbose"])
        _show_plan(build, as_json=given["json"])
        impossible = any(
            one.named and one.absence is Absence.OTHER_ARCH for one in build.plan.skipped
        )
        return 1 if build.plan.stuck or impossible else 0
    makefile_of(chosen.directory, chosen.target_template)  # before a store is made in vain
    store = open_store(chosen.store, chosen.arch, wait=given["wait"], say=say)
    try:
        build = _planned(chosen, store, given["verbose"])
        result = run_interruptibly(build.run())
    finally:
        store.lock.release()
    _report(result, given, chosen)
    return result.exit_code


def _options(given: dict[str, Any]) -> BuildOptions:
    from dag.core.build.events import ComputeResources
    from dag.core.build.plan import BuildRequest
    from dag.core.package.apkindex import repository_root
    from dag.core.units import quantity
    from dag.run.build.options import BuildOptions

    arch: Arch = given["arch"]
    directory = Path(given["directory"])
    processors = len(os.sched_getaffinity(0))
    jobs = given["jobs"] or processors
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    rebuild = set(given["rebuild"])
    return BuildOptions(
        directory=directory,
        arch=arch,
        pipeline_dirs=tuple(Path(one) for one in given["pipeline_dirs"]),
        build_options=given["build_options"],
        store=Path(given["store"] or directory / "packages"),
        request=BuildRequest(
            packages=given["packages"],
            only=given["only"],
            rebuild=frozenset(rebuild - {"dependents", "all"}),
            rebuild_dependents="dependents" in rebuild,
            rebuild_all="all" in rebuild,
            resources=ComputeResources(
                int(quantity(given["cpu"]) * 1000) or 1, int(quantity(given["ram"]))
            ),
        ),
        since=given["since"],
        repositories=tuple(map(repository_root, given["repositories"])),
        keyrings=given["keyrings"],
        jobs=jobs,
        # Who asks for more jobs than there are processors gets them.
        capacity=ComputeResources(max(processors, jobs) * 1000, machine),
        max_ram=int(quantity(given["max_ram"])) if given["max_ram"] else machine,
        retries=given["retries"],
        fail_fast=given["fail_fast"],
        timeout=given["timeout"],
        hermetic=given["hermetic"],
        make_vars=given["make_vars"],
        target_template=given["target_template"],
        signing_key=Path(given["signing_key"]) if given["signing_key"] else None,
        verbosity=given["verbose"],
    )


def _planned(chosen: BuildOptions, store: Store, verbosity: int) -> Build:
    from dag.run.build.session import Build

    gc.disable()  # what is read and planned stays until the end
    build = Build(chosen, store, say)
    gc.freeze()
    gc.enable()
    _tell(build, verbose=verbosity)
    return build


def _tell(build: Build, *, verbose: int) -> None:
    from dag.core.build.plan import Absence
    from dag.report.words import count, some

    plan = build.plan
    elsewhere = [one.package.name for one in plan.skipped if one.absence is Absence.OTHER_ARCH]
    say(
        f"{count(len(plan.steps), 'package')} to build for {plan.arch}, "
        f"{len(plan.skipped) - len(elsewhere):,} there already"
        + (f", not for {plan.arch}: {some(elsewhere)}" if elsewhere else "")
    )
    for cycle in plan.stuck:
        say(
            f"a cycle of {count(len(cycle.packages), 'package')} cannot be built: "
            f"{' → '.join((*cycle.cycles[0], cycle.cycles[0][0]))}"
        )
    graphs.tell_missing(build.graph, (step.package.name for step in plan.steps), verbose=verbose)
    if verbose:
        for one in plan.dropped:
            say(f"{one.package} is built with the repository's {one.name}: a cycle")


def _show_plan(build: Build, *, as_json: bool) -> None:
    from dag.report.plan import plan_json, plan_lines

    limits = build.options.limits()
    if as_json:
        click.echo(plan_json(build.plan, limits, build.about), nl=False)
    else:
        click.echo("".join(f"{line}\n" for line in plan_lines(build.plan, limits)), nl=False)


def _report(result: Result, given: dict[str, Any], chosen: BuildOptions) -> None:
    from dag.report.files import to_json, to_junit, to_markdown
    from dag.report.progress import result_lines

    store = os.fspath(chosen.store)
    for line in result_lines(result, store=store, verbosity=given["verbose"]):
        tell(line if line.startswith(" ") else f"dag: {line}")
    if given["junit"]:
        Path(given["junit"]).write_text(to_junit(result), encoding="utf-8")
    if given["markdown"]:
        Path(given["markdown"]).write_text(to_markdown(result), encoding="utf-8")
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page:
        try:
            with Path(page).open("a", encoding="utf-8") as file:
                file.write(to_markdown(result))
        except OSError as error:  # what was built is more than its summary
            say(f"$GITHUB_STEP_SUMMARY {page}: {error.strerror}")
    if given["json"]:
        # Last: whoever reads it may have left.
        tell(to_json(result).rstrip("\n"), sys.stdout)
