"""A build of one architecture, wherever its units run: from its plan to its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dag.core.build.events import Began
from dag.core.build.journal import encode_event
from dag.core.build.plan import Absence, BuildPlan
from dag.core.build.result import Result, make_result
from dag.core.build.rounds import CycleEdges
from dag.core.build.scheduler import Scheduler
from dag.core.build.summary import PlanSummary
from dag.core.build.twice import package_of
from dag.core.store.layout import STATE
from dag.core.store.records import Record
from dag.core.store.shelf import Shelf
from dag.io.store.runs import Run
from dag.report.progress import BuildProgress, log_words
from dag.run.build.basis import Basis
from dag.run.build.engine import Engine, Observer
from dag.run.build.group import BuildGroup
from dag.run.build.pages import PageWriter, begun_run
from dag.run.build.reuse import FinishedUnits
from dag.run.build.runner import Runner
from dag.run.build.runs import begin_journal, keep_result


@dataclass(frozen=True, kw_only=True)
class Build:
    """A plan, what it was made from, and what is finished of it."""

    basis: Basis
    finished: FinishedUnits
    """The records of the store, and of others, that count."""
    edges: CycleEdges
    """What units get where a cycle is opened."""
    needed: frozenset[str]
    """The packages that were asked for, and all that they need; none with `--only`."""
    plan: BuildPlan
    about: PlanSummary
    """The plan, as results and pages tell of it."""

    def shelf(self) -> Shelf:
        """Return the packages of the store that environments may have."""
        return self.finished.shelf(self.basis.graph.packages, self.basis.elsewhere)

    def _scheduler(self) -> Scheduler:
        return Scheduler(self.plan.units, self.basis.builder.limits)

    async def drive(self, run: Run, runner: Runner, group: BuildGroup | None = None) -> Result:
        """Build what is planned with a runner, and return the result, which is kept nowhere yet.

        `group` has the builds of the same command; if none is given, this is the only one.

        Raises:
            InfrastructureError: the runner cannot be opened, or the store fails.

        """
        basis, scheduler, group = self.basis, self._scheduler(), group or BuildGroup()
        with begin_journal(run, self.about, scheduler, *self._gone_on_with()) as journal:
            progress = BuildProgress(
                scheduler,
                self.about,
                verbosity=basis.options.verbose,
                logs=lambda name: log_words(
                    basis.builder.store, name, f"{STATE}/{run.known.log(name)}", arch=basis.arch.apk
                ),
                screen=group.screen,
            )
            page = self._page(run, scheduler)
            observers: list[Observer] = [progress, *page]
            engine = Engine(scheduler, runner, journal, observers)
            observers.append(group.join(engine, basis.arch.apk))
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
        store, say = self.basis.store, self.basis.say
        store.hints.remember(ram, say)
        store.disk_hints.remember(disk, say)

    def _page(self, run: Run, scheduler: Scheduler) -> list[PageWriter]:
        """Return what keeps the page about the run, if one was asked for."""
        basis = self.basis
        if basis.options.report is None:
            return []
        kept = begun_run(basis.store, run.known.run, basis.builder.store)
        return [PageWriter(Path(basis.options.report), scheduler, self.about, kept)]

    def end_without_units(self, run_id: str = "") -> Result:
        """Return the result of a plan that has nothing to build; it is a run like others."""
        run, scheduler = self.basis.store.runs.begin(run_id), self._scheduler()
        with begin_journal(run, self.about, scheduler, *self._gone_on_with()) as journal:
            journal.append(encode_event(0.0, Began()))
            scheduler.handle(Began(), 0.0)
        for page in self._page(run, scheduler):
            page.close(0.0)
        return keep_result(run, make_result(self.about, scheduler, 0.0, run.id))

    def _gone_on_with(self) -> tuple[Mapping[str, str], list[str]]:
        """Return the results of runs that were killed, and what is finished with these of this plan."""
        chosen = self.basis.store.chosen
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
        needed = (self.needed & self.finished.same) - self.basis.elsewhere
        there |= (needed | self.finished.taken) - self.about.packages.keys()
        return [self.finished.records[name] for name in sorted(there)]
