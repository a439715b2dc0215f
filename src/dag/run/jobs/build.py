"""The build of one architecture on a cluster: the plan, the Jobs, and the result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from dag.core.build.events import INTERRUPTED
from dag.core.build.resources import in_words
from dag.core.build.result import Result
from dag.core.build.scripts import key_of
from dag.core.jobs.capacity import NO_ROOM
from dag.core.jobs.history import RunFiles
from dag.core.jobs.manifest import JobSettings
from dag.core.say import Say
from dag.errors import InfrastructureError, UsageError
from dag.io.kube.api import Kube
from dag.io.store.runs import Run
from dag.io.store.seen import SeenRecords
from dag.report.words import some
from dag.run.build.builder import Builder
from dag.run.build.facts import require_same
from dag.run.build.group import BuildGroup
from dag.run.build.places import named_places
from dag.run.build.planning import plan_in
from dag.run.build.resolving import UnitResolver
from dag.run.build.runs import keep_result
from dag.run.build.serving import PackageServer, bypass_of
from dag.run.build.session import Build
from dag.run.build.signing import require_published
from dag.run.build.workspace import fingerprints
from dag.run.jobs.clusterstore import ClusterStore, SeenCluster
from dag.run.jobs.earlier import clear_jobs
from dag.run.jobs.lease import LeaseEnd
from dag.run.jobs.orders import make_orders
from dag.run.jobs.runner import JobRunner
from dag.run.jobs.stores import LearntNeeds

_LAST_WORDS = 60.0
"""Seconds for which a build that was interrupted, or failed at its end, waits for its journal to be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRun:
    """The run of a command, for one architecture."""

    id: str
    """Its id on this machine."""
    name: str
    """Its id in the cluster and in the store: another one, if it goes on with an earlier run."""
    bundle: str
    """The image of the directory, by digest; empty if there is nothing to build."""
    end: Callable[[], object]
    """Ends the command as Ctrl-C does."""


@dataclass(frozen=True, slots=True)
class ClusterBuild:
    """A build whose units are Jobs."""

    store: ClusterStore
    seen: SeenCluster
    build: Build

    @classmethod
    def plan(
        cls, store: ClusterStore, seen: SeenCluster, say: Say, *, sharing: int
    ) -> ClusterBuild:
        """Plan the build; `say` is told of the definitions.

        So many architectures share the nodes of this one.

        Raises:
            UsageError: something that was asked for is wrong.
            InfrastructureError: what the agent told of the store is damaged.

        """
        settings, handed = store.settings, store.handed
        store.fill(seen)
        # Which melange the image has, nobody knows; but which image it is.
        image = f"image {settings.sdk_image.partition('@')[2]}"
        limits = store.options.cluster_limits(seen.capacity, sharing=sharing)
        facts = handed.facts[settings.arch.apk] if handed else None
        here = replace(store.options, store=str(store.replica.root))
        build = plan_in(
            store.replica, here, say, Builder(limits, image, str(settings.store), facts)
        )
        if facts is not None:
            require_same(build.basis, facts)
        return cls(store, seen, build)

    def require_unchanged(self) -> None:
        """Find out whether the definitions are still those of the plan.

        Raises:
            UsageError: they are not.

        """
        basis = self.build.basis
        if fingerprints(basis.parts, basis.graph.packages) != basis.fingerprints:
            raise UsageError(
                f"a definition in {basis.directory} changed while it was pushed",
                hint="run this again",
            )

    def warn_of_room(self) -> None:
        """Say which units no node has room for; a pool that scales may bring a larger one."""
        large = [
            f"{unit.key} ({in_words(unit.resources)})"
            for unit in self.build.plan.units
            if not unit.is_gate and not self.seen.capacity.has_room(unit.resources)
        ]
        if large:
            self.store.terminal.say(f"no node has room for {some(large)} now; {NO_ROOM}")

    async def run(self, chosen: ChosenRun, group: BuildGroup) -> Result:
        """Build what is planned, publish what is finished, and return the result.

        Raises:
            InfrastructureError: the cluster or the store refuses something, or another client drives
                the build now.

        """
        store, options = self.store, self.store.options
        if self.build.plan.steps:
            try:
                result = await self._drive(chosen, group)
            except asyncio.CancelledError:
                store.lease.require_held()
                raise
            # The engine ends early as after Ctrl-C, and nobody has asked for that.
            store.lease.require_held()
            return result
        if options.publish:
            async with store.cluster() as kube:
                await self._clear(kube, store.settings)
            refused = await store.publish(self.build.unpublished())
            require_published(refused, is_apart=options.is_apart)
        result = self.build.end_without_units(chosen.id)
        if store.handed is not None:
            # Its Pod before this one may have been lost when all was proven and nothing of it kept.
            async with store.cluster() as kube:
                await self._keep_run(kube, chosen.name, store.replica.runs.of(chosen.id), None)
        return result

    async def _clear(self, kube: Kube, settings: JobSettings) -> None:
        await clear_jobs(kube, settings, self.seen.jobs, self.store.terminal.say)

    async def _drive(self, chosen: ChosenRun, group: BuildGroup) -> Result:
        build, basis, store = self.build, self.build.basis, self.store
        options, replica = store.options, store.replica
        settings = replace(store.settings, bundle=chosen.bundle, run=chosen.name)
        run = replica.runs.begin(chosen.id, goes_on_with=chosen.name)
        units = UnitResolver(build)
        name = key_of(options.make_vars, basis.makefile.key)
        server = PackageServer(
            repositories=basis.repositories,
            named=named_places(basis.options),
            arch=basis.arch,
            melange="melange",
            public_key=f"{PurePosixPath(name).name}.pub",
            bypass=bypass_of(options.make_vars),
        )
        orders = make_orders(basis, units, server, chosen.name, confined=options.confined)
        async with store.cluster() as kube:
            remember = SeenRecords.of(replica).add if options.is_apart else lambda _: None
            runner = JobRunner(kube, settings, units, orders, store.terminal, remember=remember)
            self._obey_lease(runner, chosen)
            # Who has lost the Lease meanwhile hears of it, and deletes nothing.
            await asyncio.sleep(0)
            await self._clear(kube, settings)
            result = await build.drive(run, runner, group)
            result = replace(result, open=dict(sorted(runner.open_units.items())))
            keep_result(run, result)
            limit: float | None = _LAST_WORDS
            try:
                if result.stopped != INTERRUPTED and not runner.is_abandoned:
                    done = [*build.unpublished(), *runner.finished]
                    if options.publish:
                        agent = store.agent(kube, chosen.name)
                        refused = await store.publisher.publish(agent, chosen.name, done)
                        require_published(refused, is_apart=options.is_apart)
                        await store.publisher.deliver(agent, done)
                    limit = None
            finally:
                if not runner.is_abandoned:
                    await self._keep_run(kube, chosen.name, run, limit)
        return result

    def _obey_lease(self, runner: JobRunner, chosen: ChosenRun) -> None:
        """Let the run end as after Ctrl-C if somebody cancels it, and leave its Jobs to who takes it."""
        loop, driving = asyncio.get_running_loop(), asyncio.current_task()
        total = sum(not unit.is_gate for unit in self.build.plan.units)

        def end(why: LeaseEnd) -> None:
            if not why.is_lost:
                chosen.end()
                return
            runner.abandon()
            if driving is not None:
                driving.cancel()

        lease = self.store.lease
        lease.tell_run(chosen.name)
        lease.progress = lambda: f"{len(runner.finished):,} of {total:,} packages are done"
        lease.listen(lambda why: loop.call_soon_threadsafe(end, why))

    async def _keep_run(self, kube: Kube, name: str, run: Run, limit: float | None) -> None:
        """Keep the files of a run in the store, under its name there, in so many seconds.

        A build that ended is no failure for lack of them, unless nobody could publish it without.
        """
        store = self.store
        learnt = LearntNeeds.of(store.replica, self.seen.listing)
        ended = run.state / run.names.result
        files = RunFiles(run.journal.read_bytes(), ended.read_bytes())
        try:
            async with asyncio.timeout(limit):
                await store.agent(kube, name).keep_run(files, learnt)
        except InfrastructureError as error:
            if store.handed is not None and limit is None:
                raise  # its successor keeps it
            store.terminal.say(f"the journal of the run is not in the store: {error}")
        except TimeoutError:
            store.terminal.say("the journal of the run is not in the store: that took too long")
