"""A build of one architecture, wherever its units run: what was asked for, the plan, the result."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dag.core.build.events import Began, ComputeResources
from dag.core.build.inputs import UnitInputs
from dag.core.build.journal import encode_event
from dag.core.build.known import Known, Stored
from dag.core.build.options import BuildOptions
from dag.core.build.plan import Absence, BuildPlan, BuildRequest, make_plan
from dag.core.build.result import Result, make_result
from dag.core.build.rounds import CycleEdges
from dag.core.build.scheduler import Scheduler
from dag.core.build.scripts import MakeVariables, build_script
from dag.core.build.summary import summarize
from dag.core.build.twice import package_of, second_units
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import PackageRepository, offers
from dag.core.package.directory import Definitions
from dag.core.package.makefile import KeyMaker
from dag.core.package.model import Package
from dag.core.package.problems import FileProblem
from dag.core.say import Say
from dag.core.shell import ShellScript
from dag.core.store.layout import STATE
from dag.core.store.records import Record
from dag.core.store.shelf import Shelf
from dag.errors import UsageError
from dag.io.graph.git import given_epoch
from dag.io.package.makefile import makefile_of
from dag.io.store.local import Store
from dag.io.store.runs import Run
from dag.io.store.takeover import adopt
from dag.report.plan import SAME_VERSION_HINT, same_version_words
from dag.report.progress import BuildProgress, log_words
from dag.run.build.builder import Builder
from dag.run.build.directory import (
    ask_all_repositories,
    find_entries,
    find_refused,
    request_since,
)
from dag.run.build.engine import Engine, Observer
from dag.run.build.group import BuildGroup
from dag.run.build.inputs import read_inputs
from dag.run.build.pages import PageWriter, begun_run
from dag.run.build.places import location_in_workspace, named_places
from dag.run.build.reuse import built_finder, find_finished
from dag.run.build.runner import Runner
from dag.run.build.runs import begin_journal, keep_result, read_results
from dag.run.build.serving import bypass_of, expected_open
from dag.run.build.signing import given_key
from dag.run.build.sources import require_cached_sources
from dag.run.build.steps import require_known_calls
from dag.run.build.stores import read_others
from dag.run.build.workspace import fingerprints, split_by_package
from dag.run.graph.definitions import read_definitions
from dag.run.sources.place import cache_beside


class Build:
    """A directory of definitions, a store, and the plan that they lead to.

    The caller holds the lock of the store, if it is to be changed.
    """

    def __init__(self, options: BuildOptions, store: Store, say: Say, builder: Builder) -> None:
        """Read the directory and the store, and make the plan.

        Raises:
            UsageError: a definition is wrong, a name unknown, or there is no Makefile.

        """
        self.options = options
        self.arch = store.arch
        self.directory = Path(options.directory)
        self.limits = builder.limits
        self._melange = builder.melange
        self._facts = builder.facts
        self.refused: dict[str, tuple[FileProblem, ...]] = {}
        """What melange cannot compile of all that is to be built, by the definitions' files."""
        self._store_name = builder.store
        self.store = store
        if store.root == self.directory.resolve():
            raise UsageError(
                "--store is the directory of the definitions, so it would be a part of every build",
                hint=f"name a directory below it, like {self.directory / 'packages'}",
            )
        self.say = say
        given_epoch()
        given_key(options.key_file, for_melange=builder.is_here)
        self.makefile = makefile_of(
            self.directory, options.target_template, options.make_assignments()
        )
        self._tell_of_makefile()
        found = read_definitions(options, options.directory, self.arch)
        for line in found.words():
            say(line)
        self.repositories = ask_all_repositories(options, found, store, self.makefile)
        for line in self.repositories.words:
            say(line)
        self._entries = find_entries(options, found, store.root, say)
        self._others = read_others(options.other_stores, store, say)
        store.chosen = {**read_results(store), **store.chosen}
        self._settle(found)
        if self.plan.steps:
            builder.require()
        while refused := self._refused():
            self._settle(self._without(refused))
        if options.strict and self.plan.same_version:
            raise UsageError(same_version_words(self.plan), hint=SAME_VERSION_HINT)
        if options.hermetic and builder.is_here:
            require_cached_sources(self.cache(), [step.package for step in self.plan.steps])
        if self.plan.steps and builder.is_here and not options.trust_steps:
            require_known_calls(self.makefile, self.directory, options.make_vars)
        self._tell_of_rules([step.package for step in self.plan.steps])
        self.about = summarize(self.plan, broken=0 if options.packages else self.found.unusable)

    def _tell_of_makefile(self) -> None:
        given, notes = self.options.key_file, self.makefile.notes("KEY", "MELANGE_EXTRA_OPTS")
        foreign = self.makefile.foreign_key_note("--signing-key") if given else None
        for note in filter(None, (*notes, foreign)):
            self.say(note)

    def _tell_of_rules(self, packages: Sequence[Package]) -> None:
        notes = self.makefile.target_notes(self.makefile.targets(packages, self.arch))
        for note in (*notes, *self.makefile.file_notes(packages)):
            self.say(note)

    def _settle(self, found: Definitions) -> None:
        """Make the graph and the plan of these definitions."""
        self.found, packages, have = found, found.packages, self.repositories.common
        self.elsewhere = frozenset(one.name for one in packages if offers(have.versions, one))
        self.graph = Graph(
            packages,
            arch=self.arch.apk,
            repository=have,
            own=self.repositories.own,
            broken=found.broken,
        )
        self.parts = split_by_package(self._entries, found, self.options.common)
        self.fingerprints = fingerprints(self.parts, packages)
        here = (one for one in packages if one.builds_on(self.arch.apk))
        adopt(self.store, here, self.say)
        self.variables = self._variables()
        self.plan = self._plan(have)

    def _refused(self) -> Mapping[str, tuple[FileProblem, ...]]:
        """Return what more melange cannot compile of all that is to be built, by the definitions' files."""
        names = {step.package.name for step in self.plan.steps} | self.plan.blocked.keys()
        names |= {name for one in self.plan.stuck for name in one.packages}
        packages = [one for one in self.found.packages if one.name in names]
        found = find_refused(self._facts, self.options, self.found, packages, self.store)
        self.refused |= found
        return found

    def _without(self, refused: Mapping[str, tuple[FileProblem, ...]]) -> Definitions:
        """Return the definitions without those that melange cannot compile, and tell of these.

        Raises:
            UsageError: `--strict` is given, so that nothing is built without them.

        """
        found = self.found.without(refused)
        if self.options.strict:
            found.require_sound()
        told = {*self.found.words()}
        for problem in (one for several in refused.values() for one in several):
            if (words := found.place(problem)) not in told:
                self.say(words)
        return found

    def _plan(self, have: PackageRepository) -> BuildPlan:
        options, store = self.options, self.store
        request = options.request()
        names = (*request.packages, *request.rebuild)
        packages = self.graph.packages
        wanted = self.graph.closure(names, stopped_too=True) if request.packages else packages
        self._needed = frozenset() if request.only else {one.name for one in wanted}
        self.finished = find_finished(store, self._others, packages, wanted, self.fingerprints)
        self.edges = CycleEdges(
            graph=self.graph,
            records=self.finished.records,
            fingerprints=self.fingerprints,
            shelf=self.shelf() if request.rebuild_cycle else Shelf(),
            find=built_finder(self.graph, store),
            is_second=request.rebuild_cycle,
        )
        ram, disk = store.hints.all(), store.disk_hints.all()
        known = Known(
            stored=self._stored(request),
            repository=have.versions,
            available=have.names,
            fingerprints=self.fingerprints,
            seconds=store.seconds(),
            needed={
                name: ComputeResources(0, ram.get(name, 0), disk.get(name, 0))
                for name in ram.keys() | disk.keys()
            },
        )
        if options.since is not None:
            request = request_since(options, self.arch, self.graph, self.found, request)
            if not request.packages:
                self.say(f"nothing has changed since {options.since}")
                return BuildPlan(arch=self.arch)
        plan = make_plan(self.graph, self.arch, request, known)
        bypass = bypass_of(options.make_vars)
        second = second_units(one.unit for one in plan.steps) if options.twice else ()
        is_open = expected_open(plan, self.repositories, bypass)
        dropped = self.edges.told(plan.dropped)
        return replace(plan, dropped=dropped, open=is_open, second_builds=second)

    def _stored(self, request: BuildRequest) -> dict[str, Stored]:
        """Return what the plan wants to know of the records."""
        records = self.finished.records
        if not request.rebuild_dependents:
            replaced = self.edges.replaced
            return {
                name: Stored.of(record, replaced=replaced(record))
                for name, record in records.items()
            }
        inputs, shelf = self.inputs(self.graph.packages), self.shelf()
        packages = {package.name: package for package in self.graph.packages}
        return {
            name: Stored.of(
                record,
                is_unchanged=inputs.is_unchanged(packages[name], record, shelf)
                if name in packages
                else None,
                replaced=self.edges.replaced(record),
            )
            for name, record in records.items()
        }

    def shelf(self) -> Shelf:
        """Return the packages of the store that environments may have."""
        return self.finished.shelf(self.graph.packages, self.elsewhere)

    def inputs(self, packages: Sequence[Package]) -> UnitInputs:
        """Return what goes into the units of these packages, besides packages of the store."""
        return read_inputs(
            packages,
            directory=self.directory,
            graph=self.graph,
            parts=self.parts,
            fingerprints=self.fingerprints,
            store=self.store,
            variables=self.variables,
            script=self.script(self.variables),
            melange=self._melange,
            repository=self.repositories.of,
            epochs=None if self._facts is None else self._facts.epochs,
        )

    def script(self, variables: MakeVariables) -> ShellScript:
        """Return the script of a build on this machine, where every unit has the same key."""
        return build_script(
            variables,
            key_maker=KeyMaker.NOBODY,
            makefile=self.makefile.built_in,
            hermetic=self.options.hermetic,
            trust_steps=self.options.trust_steps,
            check_path=bool(self.makefile.own_calls),
            state="../state",  # beside the workspace
        )

    def scheduler(self) -> Scheduler:
        """Make the scheduler of the plan."""
        return Scheduler(self.plan.units, self.limits)

    async def drive(self, run: Run, runner: Runner, group: BuildGroup | None = None) -> Result:
        """Build what is planned with a runner, and return the result, which is kept nowhere yet.

        `group` has the builds of the same command; if none is given, this is the only one.

        Raises:
            InfrastructureError: the runner cannot be opened, or the store fails.

        """
        scheduler, group = self.scheduler(), group or BuildGroup()
        with begin_journal(run, self.about, scheduler, *self._gone_on_with()) as journal:
            progress = BuildProgress(
                scheduler,
                self.about,
                verbosity=self.options.verbose,
                logs=lambda name: log_words(
                    self._store_name, name, f"{STATE}/{run.known.log(name)}", arch=self.about.arch
                ),
                screen=group.screen,
            )
            page = self._page(run, scheduler)
            observers: list[Observer] = [progress, *page]
            engine = Engine(scheduler, runner, journal, observers)
            observers.append(group.join(engine, self.about.arch))
            try:
                await engine.run()
            finally:
                progress.close()
                for keeper in page:
                    keeper.close(engine.now)
                self._remember_needs(scheduler)
            return make_result(self.about, scheduler, engine.now, run.known.run)

    def _remember_needs(self, scheduler: Scheduler) -> None:
        """Remember which units needed more memory or disk than planned."""
        each = [
            (package_of(one.unit.key), one.unit.resources, one.resources)
            for one in scheduler.units.values()
        ]
        ram = {key: now.ram for key, planned, now in each if now.ram > planned.ram}
        disk = {key: now.disk for key, planned, now in each if now.disk > planned.disk}
        self.store.hints.remember(ram, self.say)
        self.store.disk_hints.remember(disk, self.say)

    def _page(self, run: Run, scheduler: Scheduler) -> list[PageWriter]:
        """Return what keeps the page about the run, if one was asked for."""
        if self.options.report is None:
            return []
        kept = begun_run(self.store, run.known.run, self._store_name)
        return [PageWriter(Path(self.options.report), scheduler, self.about, kept)]

    def end_without_units(self, run_id: str = "") -> Result:
        """Return the result of a plan that has nothing to build; it is a run like others."""
        run, scheduler = self.store.runs.begin(run_id), self.scheduler()
        with begin_journal(run, self.about, scheduler, *self._gone_on_with()) as journal:
            journal.append(encode_event(0.0, Began()))
            scheduler.handle(Began(), 0.0)
        for page in self._page(run, scheduler):
            page.close(0.0)
        return keep_result(run, make_result(self.about, scheduler, 0.0, run.id))

    def _gone_on_with(self) -> tuple[Mapping[str, str], list[str]]:
        """Return the results of runs that were killed, and what is finished with these of this plan."""
        chosen = self.store.chosen
        return chosen, [r.name for r in self.unpublished() if chosen.get(r.name) == r.result]

    def unpublished(self) -> list[Record]:
        """Return the records of what the plan has in the store, or took from another one.

        What a finished package needs is no part of the plan, and belongs to it all the same.
        """
        there = {
            one.package.name
            for one in self.plan.skipped
            if one.absence in (Absence.STORED, Absence.UNCHANGED)
        }
        needed = (self._needed & self.finished.same) - self.elsewhere
        there |= (needed | self.finished.taken) - self.about.packages.keys()
        return [self.finished.records[name] for name in sorted(there)]

    def _variables(self) -> MakeVariables:
        """Return what make is told, but for what is another in each unit or on each machine."""
        options, directory = self.options, self.directory
        key = given_key(options.key_file)
        return MakeVariables(
            arch=self.arch,
            source_date_epoch=0,
            cache_dir="cache",
            key=os.fspath(key.resolve()) if key else self.makefile.key,
            repositories=list(named_places(options)),
            keyrings=[location_in_workspace(directory, one) for one in options.keyrings],
            pipeline_dirs=[os.fspath(Path(one).resolve()) for one in options.pipeline_dirs],
            build_options=options.build_options,
            melange_flags=self.found.melange_words,
            files=self.makefile.variables(self.graph.packages),
            more=options.make_vars,
        )

    def cache(self) -> Path:
        """Return the cache beside the definitions; if there is none, an empty one of this run."""
        cache = cache_beside(self.directory.resolve())
        return cache if cache.is_dir() else self.store.work.resolve() / "cache"
