"""The build of one architecture on a cluster: what the store has, the plan, and the result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dag.core.build.events import INTERRUPTED
from dag.core.build.resources import in_words
from dag.core.build.result import Result
from dag.core.build.scripts import key_of
from dag.core.jobs.capacity import NO_ROOM, ClusterCapacity, capacity_of
from dag.core.jobs.handover import Handover
from dag.core.jobs.history import RunFiles
from dag.core.jobs.lease import DriverNote
from dag.core.jobs.listing import StoreListing
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.names import BUNDLE_ANNOTATION
from dag.core.jobs.options import UnitBuildOptions
from dag.core.jobs.signer import PRIVILEGE_REACHES_KEY
from dag.core.kube.objects import KubeObject
from dag.core.pod.manifest import RUN_LABEL
from dag.errors import InfrastructureError, UsageError
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.io.kube.opening import open_cluster, opened_cluster
from dag.io.store.runs import Run
from dag.io.store.seen import SeenRecords
from dag.report.terminal import Terminal
from dag.report.words import some
from dag.run.build.builder import Builder
from dag.run.build.facts import require_same
from dag.run.build.group import BuildGroup
from dag.run.build.places import named_places
from dag.run.build.resolving import UnitResolver
from dag.run.build.runs import keep_result
from dag.run.build.serving import PackageServer, bypass_of
from dag.run.build.session import Build
from dag.run.build.signing import require_published
from dag.run.build.start import plan_in
from dag.run.build.workspace import fingerprints
from dag.run.jobs.earlier import clear_jobs, find_jobs
from dag.run.jobs.lease import LeaseEnd, StoreLease
from dag.run.jobs.orders import make_orders
from dag.run.jobs.publisher import StorePublisher
from dag.run.jobs.replica import client_of, fill_replica, open_replica, replica_place
from dag.run.jobs.runner import JobRunner
from dag.run.jobs.stores import LearntNeeds, StoreAgent
from dag.run.pod.access import read_list

if TYPE_CHECKING:
    from dag.core.store.records import Record
    from dag.io.store.local import Store


_LAST_WORDS = 60.0
"""Seconds for which a build that was interrupted, or failed at its end, waits for its journal to be kept."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What there is in the cluster before a run."""

    listing: StoreListing
    capacity: ClusterCapacity
    jobs: tuple[KubeObject, ...]
    """The Jobs of units that are there, of any run."""

    def run_of(self, bundle: str) -> str:
        """Return the newest run of a bundle of which Jobs are there; empty if there is none."""
        same = (
            one for one in self.jobs if one["metadata"]["annotations"][BUNDLE_ANNOTATION] == bundle
        )
        return max((str(one["metadata"]["labels"][RUN_LABEL]) for one in same), default="")


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


class ClusterBuild:
    """The build of one architecture on a cluster, whose store is on a volume claim or in a bucket."""

    def __init__(
        self,
        options: UnitBuildOptions,
        settings: JobSettings,
        terminal: Terminal,
        handed: Handover | None = None,
    ) -> None:
        """Open what stands for the store on this machine; no cluster is asked.

        `handed` is what a client has told of the build, if it is driven in the cluster itself.

        Raises:
            Held: somebody else on this machine builds in the store for this architecture.
            InfrastructureError: the directory that stands for the store cannot be used.

        """
        self._options = options
        self.settings = settings
        self._terminal = terminal
        server, arch = connect(options.kubeconfig, options.context).server, settings.arch
        self._place = replica_place(server, settings.namespace, str(settings.store), arch)
        self._store: Store = open_replica(self._place, arch, wait=options.wait, say=terminal.say)
        self._publisher = StorePublisher(options, self._store, terminal)
        self._handed = handed
        self.loss = ""
        """Why somebody else drives the build now; empty if nobody does."""
        note = (
            DriverNote(client=handed.client, job=handed.job, run=handed.run)
            if handed is not None
            else DriverNote(client=client_of(self._store))
        )
        self._lease = StoreLease(self._connect, settings.key, note, terminal.say)

    async def acquire(self) -> None:
        """Become who drives builds in the store for this architecture.

        Raises:
            Held: somebody else does, and `--wait` was not given.
            ApiError: the API server cannot be reached, or refuses.

        """
        await self._lease.acquire(wait=self._options.wait)

    async def look(self) -> None:
        """Ask the agent what the store has, and the cluster for its nodes and Jobs.

        Raises:
            InfrastructureError: the cluster cannot be reached or refuses, or no agent could tell.

        """
        async with self._cluster() as kube:
            capacity = await self._capacity(kube)
            listing = await self._agent(kube).list()
            self._seen = _Seen(listing, capacity, await find_jobs(kube, self.settings.key))

    async def _capacity(self, kube: Kube) -> ClusterCapacity:
        """Return what units may take of the nodes, as far as anybody knows."""
        nodes = await read_list(kube, "/api/v1/nodes")
        if nodes is None and self._handed is not None:
            return self._handed.capacity.get(self.settings.arch.apk, ClusterCapacity())
        return capacity_of(nodes or (), self.settings.node, self._options)

    @property
    def capacity(self) -> ClusterCapacity:
        """Return what units may take of the nodes, as it was seen."""
        return self._seen.capacity

    @property
    def store(self) -> Store:
        """Return what stands here for the store."""
        return self._store

    def fill(self) -> None:
        """Let what stands for the store have what the agent has told of that.

        Raises:
            InfrastructureError: what it told is damaged.

        """
        fill_replica(self._store, self._seen.listing, self._terminal.say)

    def plan(self, say: Callable[[str], None], *, sharing: int) -> None:
        """Plan the build; `say` is told of the definitions.

        So many architectures share the nodes of this one.

        Raises:
            UsageError: something that was asked for is wrong.
            InfrastructureError: what the agent told of the store is damaged.

        """
        options = self._options
        self.fill()
        # Which melange the image has, nobody knows; but which image it is.
        image = f"image {self.settings.sdk_image.partition('@')[2]}"
        limits = options.cluster_limits(self._seen.capacity, sharing=sharing)
        facts = self._handed.facts[self.settings.arch.apk] if self._handed else None
        builder = Builder(limits, image, str(self.settings.store), facts)
        here = replace(options, store=str(self._place))
        self.build: Build = plan_in(self._store, here, say, builder)
        if facts is not None:
            require_same(self.build, facts)

    def close(self) -> None:
        """Let go of the Lease, and of the store's place on this machine."""
        self._lease.close()
        self._store.close()

    def find_key(self) -> None:
        """Find the key that signs, if anything is published, before anything is built.

        Raises:
            UsageError: it is not on this machine.
            InfrastructureError: a new one cannot be kept.

        """
        if self._options.publish and self._options.is_apart and not self._options.confined:
            self._terminal.say(PRIVILEGE_REACHES_KEY)
        if self._options.signs_here:
            self._publisher.find_key()

    def run_before(self, bundle: str) -> str:
        """Return the run of a bundle of which Jobs are there; empty if there is none."""
        return self._seen.run_of(bundle)

    def require_unchanged(self) -> None:
        """Find out whether the definitions are still those of the plan.

        Raises:
            UsageError: they are not.

        """
        build = self.build
        if fingerprints(build.parts, build.graph.packages) != build.fingerprints:
            raise UsageError(
                f"a definition in {build.directory} changed while it was pushed",
                hint="run this again",
            )

    async def run(self, chosen: ChosenRun, group: BuildGroup) -> Result:
        """Build what is planned, publish what is finished, and return the result.

        Raises:
            InfrastructureError: the cluster refuses something, or the store does.

        """
        if self.build.plan.steps:
            self.settings = replace(self.settings, bundle=chosen.bundle, run=chosen.name)
            run = self._store.runs.begin(chosen.id, goes_on_with=chosen.name)
            return await self._drive(run, chosen, group)
        if self._options.publish:
            async with self._cluster() as kube:
                await self._clear(kube)
            refused = await self.publish(self.build.unpublished())
            require_published(refused, is_apart=self._options.is_apart)
        result = self.build.end_without_units(chosen.id)
        if self._handed is not None:
            # Its Pod before this one may have been lost when all was proven and nothing of it kept.
            self.settings = replace(self.settings, run=chosen.name)
            async with self._cluster() as kube:
                await self._keep_run(kube, self._store.runs.of(chosen.id), None)
        return result

    async def _clear(self, kube: Kube) -> None:
        await clear_jobs(kube, self.settings, self._seen.jobs, self._terminal.say)

    def warn_of_room(self) -> None:
        """Say which units no node has room for; a pool that scales may bring a larger one."""
        capacity = self._seen.capacity
        large = [
            f"{unit.key} ({in_words(unit.resources)})"
            for unit in self.build.plan.units
            if not unit.is_gate and not capacity.has_room(unit.resources)
        ]
        if large:
            self._terminal.say(f"no node has room for {some(large)} now; {NO_ROOM}")

    def _agent(self, kube: Kube) -> StoreAgent:
        return StoreAgent(kube, self.settings, self._terminal.say)

    async def _drive(self, run: Run, chosen: ChosenRun, group: BuildGroup) -> Result:
        build, options = self.build, self._options
        units = UnitResolver.of(build)
        name = key_of(options.make_vars, build.makefile.key)
        server = PackageServer(
            repositories=build.repositories,
            named=named_places(build.options),
            arch=build.arch,
            melange="melange",
            public_key=f"{PurePosixPath(name).name}.pub",
            bypass=bypass_of(options.make_vars),
        )
        orders = make_orders(build, units, server, self.settings.run, confined=options.confined)
        async with self._cluster() as kube:
            remember = SeenRecords.of(self._store).add if options.is_apart else lambda _: None
            runner = JobRunner(
                kube, self.settings, units, orders, self._terminal, remember=remember
            )
            self._obey_lease(runner, chosen.end)
            # Who has lost the Lease meanwhile hears of it, and deletes nothing.
            await asyncio.sleep(0)
            await self._clear(kube)
            result = await build.drive(run, runner, group)
            result = replace(result, open=dict(sorted(runner.open_units.items())))
            keep_result(run, result)
            limit: float | None = _LAST_WORDS
            try:
                if result.stopped != INTERRUPTED and not runner.is_abandoned:
                    done = [*build.unpublished(), *runner.finished]
                    if options.publish:
                        agent = self._agent(kube)
                        refused = await self._publisher.publish(agent, self.settings.run, done)
                        require_published(refused, is_apart=options.is_apart)
                        await self._publisher.deliver(agent, done)
                    limit = None
            finally:
                if not runner.is_abandoned:
                    await self._keep_run(kube, run, limit)
        return result

    def _obey_lease(self, runner: JobRunner, end_run: Callable[[], object]) -> None:
        """Let the run end as after Ctrl-C if somebody cancels it, and leave its Jobs to who takes it."""
        loop, driving = asyncio.get_running_loop(), asyncio.current_task()
        total = sum(not unit.is_gate for unit in self.build.plan.units)

        def end(why: LeaseEnd) -> None:
            if not why.is_lost:
                end_run()
                return
            self.loss = why.words
            runner.abandon()
            if driving is not None:
                driving.cancel()

        self._lease.tell_run(self.settings.run)
        self._lease.progress = lambda: f"{len(runner.finished):,} of {total:,} packages are done"
        self._lease.listen(lambda why: loop.call_soon_threadsafe(end, why))

    async def _keep_run(self, kube: Kube, run: Run, limit: float | None) -> None:
        """Keep the files of a run in the store, in so many seconds.

        A build that ended is no failure for lack of them, unless nobody could publish it without.
        """
        learnt = LearntNeeds.of(self._store, self._seen.listing)
        ended = run.state / run.names.result
        files = RunFiles(run.journal.read_bytes(), ended.read_bytes())
        try:
            async with asyncio.timeout(limit):
                await self._agent(kube).keep_run(files, learnt)
        except InfrastructureError as error:
            if self._handed is not None and limit is None:
                raise  # its successor keeps it
            self._terminal.say(f"the journal of the run is not in the store: {error}")
        except TimeoutError:
            self._terminal.say("the journal of the run is not in the store: that took too long")

    async def publish(self, records: list[Record]) -> dict[str, str]:
        """Publish records of the store; return why some could not be, by the names of units.

        Raises:
            InfrastructureError: the cluster refuses something, or the store does.

        """
        self.settings = replace(self.settings, run="publish")
        async with self._cluster() as kube:
            agent = self._agent(kube)
            refused = await self._publisher.publish(agent, self.settings.run, records)
            await self._publisher.deliver(agent, records)
        return refused

    def _connect(self) -> Kube:
        return open_cluster(self._options, lambda _: None)

    def _cluster(self) -> AbstractAsyncContextManager[Kube]:
        return opened_cluster(self._options, self._terminal.say)
