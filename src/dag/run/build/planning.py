"""From a directory of definitions and a store to the plan of a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dag.core.build.events import ComputeResources
from dag.core.build.known import Known, Stored
from dag.core.build.options import BuildOptions
from dag.core.build.plan import BuildPlan, BuildRequest, make_plan
from dag.core.build.rounds import CycleEdges
from dag.core.build.summary import summarize
from dag.core.build.twice import second_units
from dag.core.say import Say
from dag.core.store.shelf import Shelf
from dag.errors import UsageError
from dag.io.store.local import Store
from dag.io.store.takeover import adopt
from dag.report.plan import SAME_VERSION_HINT, same_version_words
from dag.run.build.basis import Basis, read_basis
from dag.run.build.builder import Builder
from dag.run.build.inputs import read_inputs
from dag.run.build.reuse import FinishedUnits, built_finder, find_finished
from dag.run.build.serving import bypass_of, expected_open
from dag.run.build.session import Build
from dag.run.build.sources import require_cached_sources
from dag.run.build.steps import require_known_calls
from dag.run.graph.changes import affected_since
from dag.run.lasting import reading_what_lasts


def plan_in(store: Store, options: BuildOptions, say: Say, builder: Builder) -> Build:
    """Plan a build in a store that is open, and locked if it is to be changed.

    Raises:
        UsageError: a definition is wrong, a name unknown, or there is no Makefile.

    """
    with reading_what_lasts():
        basis = read_basis(store, options, say, builder)
        build = _plan(basis)
        if build.plan.steps:
            builder.require()
        while refused := basis.find_refused(_names(build.plan)):
            basis = basis.without(refused)
            build = _plan(basis)
        _require_buildable(build)
        return build


def _names(plan: BuildPlan) -> set[str]:
    """Return the packages that are to be built, whether a plan can build them or not."""
    names = {step.package.name for step in plan.steps} | plan.blocked.keys()
    return names | {name for one in plan.stuck for name in one.packages}


def _plan(basis: Basis) -> Build:
    """Return the build of all that is found and asked for."""
    options, store, graph = basis.options, basis.store, basis.graph
    adopt(store, (one for one in basis.found.packages if one.builds_on(basis.arch.apk)), basis.say)
    request = options.request()
    names = (*request.packages, *request.rebuild)
    packages = graph.packages
    wanted = graph.closure(names, stopped_too=True) if request.packages else packages
    finished = find_finished(store, basis.others, packages, wanted, basis.fingerprints)
    edges = CycleEdges(
        graph=graph,
        records=finished.records,
        fingerprints=basis.fingerprints,
        shelf=finished.shelf(packages, basis.elsewhere) if request.rebuild_cycle else Shelf(),
        find=built_finder(graph, store),
        is_second=request.rebuild_cycle,
    )
    plan = _make_plan(basis, request, finished, edges)
    return Build(
        basis=basis,
        finished=finished,
        edges=edges,
        needed=frozenset() if request.only else frozenset(one.name for one in wanted),
        plan=plan,
        about=summarize(plan, broken=0 if options.packages else basis.found.unusable),
    )


def _make_plan(
    basis: Basis, request: BuildRequest, finished: FinishedUnits, edges: CycleEdges
) -> BuildPlan:
    options, store = basis.options, basis.store
    if options.since is not None:
        request = _request_since(basis, options.since, request)
        if not request.packages:
            basis.say(f"nothing has changed since {options.since}")
            return BuildPlan(arch=basis.arch)
    ram, disk = store.hints.all(), store.disk_hints.all()
    have = basis.repositories.common
    known = Known(
        stored=_stored(basis, request, finished, edges),
        repository=have.versions,
        available=have.names,
        fingerprints=basis.fingerprints,
        seconds=store.seconds(),
        needed={
            name: ComputeResources(0, ram.get(name, 0), disk.get(name, 0))
            for name in ram.keys() | disk.keys()
        },
    )
    plan = make_plan(basis.graph, basis.arch, request, known)
    return replace(
        plan,
        dropped=edges.told(plan.dropped),
        open=expected_open(plan, basis.repositories, bypass_of(options.make_vars)),
        second_builds=second_units(one.unit for one in plan.steps) if options.twice else (),
    )


def _request_since(basis: Basis, commit: str, request: BuildRequest) -> BuildRequest:
    """Return a request for what has changed since a commit, of what `request` is for.

    Raises:
        UsageError: there is no such commit, or no repository; or nobody has named packages, and a
            changed definition is broken.
        InfrastructureError: there is no git.

    """
    found = affected_since(commit, basis.graph, basis.arch, basis.found)
    changed = set(found.reasons)
    if request.rebuild_dependents:
        changed = {package.name for package in found.packages}
    lenient = not request.packages
    if lenient:
        found.require_sound()
    else:
        changed &= {package.name for package in basis.graph.order(request.packages)}
    names = changed | request.rebuild
    return replace(request, packages=tuple(sorted(names)), lenient=lenient)


def _stored(
    basis: Basis, request: BuildRequest, finished: FinishedUnits, edges: CycleEdges
) -> Mapping[str, Stored]:
    """Return what the plan wants to know of the records."""
    packages = basis.graph.packages
    unchanged: dict[str, bool | None] = {}
    if request.rebuild_dependents:
        inputs, shelf = read_inputs(basis, packages), finished.shelf(packages, basis.elsewhere)
        unchanged = {
            package.name: inputs.is_unchanged(package, finished.records[package.name], shelf)
            for package in packages
            if package.name in finished.records
        }
    return {
        name: Stored.of(record, is_unchanged=unchanged.get(name), replaced=edges.replaced(record))
        for name, record in finished.records.items()
    }


def _require_buildable(build: Build) -> None:
    """Refuse a plan that is certain to fail, and say what of the Makefile looks as if it were.

    Raises:
        UsageError: two have one version, a source is not there, or a call of melange is not known.

    """
    basis, plan = build.basis, build.plan
    options, builder = basis.options, basis.builder
    if options.strict and plan.same_version:
        raise UsageError(same_version_words(plan), hint=SAME_VERSION_HINT)
    packages = [step.package for step in plan.steps]
    if options.hermetic and builder.is_here:
        require_cached_sources(basis.cache(), packages)
    if packages and builder.is_here and not options.trust_steps:
        require_known_calls(basis.makefile, basis.directory, options.make_vars)
    targets = basis.makefile.targets(packages, basis.arch)
    for note in (*basis.makefile.target_notes(targets), *basis.makefile.file_notes(packages)):
        basis.say(note)
