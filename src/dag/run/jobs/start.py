"""`dag build --on kubernetes`, from its options to a plan, or to a result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dag.core.build.events import INTERRUPTED
from dag.core.build.result import Result
from dag.core.build.scripts import key_of
from dag.core.jobs.capacity import NO_ROOM, ClusterCapacity, capacity_of, in_words
from dag.core.jobs.history import RunFiles
from dag.core.jobs.lease import DriverNote
from dag.core.jobs.listing import StoreListing
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.names import BUNDLE_ANNOTATION
from dag.core.jobs.options import UnitBuildOptions
from dag.core.jobs.stores import store_on_cluster
from dag.core.kube.objects import KubeObject
from dag.core.pod.manifest import RUN_LABEL
from dag.errors import InfrastructureError, UsageError
from dag.io.image.tree import definitions_tree
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.io.package.makefile import makefile_of
from dag.io.package.signing import SigningKey, make_key
from dag.io.store.ownkey import NAME, own_key
from dag.io.store.runs import Run
from dag.report.terminal import Terminal
from dag.report.words import some
from dag.run.build.places import named_places
from dag.run.build.resolving import UnitResolver
from dag.run.build.runs import keep_result
from dag.run.build.serving import PackageServer, bypass_of
from dag.run.build.session import Build, Builder
from dag.run.build.signing import given_key
from dag.run.build.start import plan_in
from dag.run.build.workspace import fingerprints
from dag.run.jobs.earlier import clear_jobs, find_jobs
from dag.run.jobs.lease import LeaseEnd, StoreLease
from dag.run.jobs.orders import make_orders, require_inside
from dag.run.jobs.out import Delivery, records_there
from dag.run.jobs.preflight import check_cluster
from dag.run.jobs.replica import client_of, fill_replica, open_replica, replica_place
from dag.run.jobs.runner import JobRunner
from dag.run.jobs.settings import store_settings
from dag.run.jobs.stores import StoreAgent
from dag.run.pod.access import read_list
from dag.run.pod.bundle import BundleTarget, namespace_of
from dag.run.pod.out import prepare_directory
from dag.run.pod.place import PlaceChecks
from dag.run.signals import run_interruptibly

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


class ClusterBuild:
    """A build on a cluster, whose store is on a volume claim or in a bucket."""

    def __init__(self, options: UnitBuildOptions, terminal: Terminal) -> None:
        """Push the agent's image, and ask its agent what the store has.

        Raises:
            UsageError: something that was asked for is wrong.
            InfrastructureError: the cluster or a registry cannot be reached or refuses.

        """
        self._options = options
        self._terminal = terminal
        store = store_on_cluster(options.store, options.bucket_secret)
        require_inside(options)
        if options.out is not None and not options.dry_run:
            prepare_directory(Path(options.out), Path(options.directory))
        makefile_of(Path(options.directory), options.target_template, options.make_assignments())
        self._target = BundleTarget.of(options)
        cache = options.cache_bundle
        settings = replace(
            store_settings(options, namespace_of(options, terminal), options.arch),
            sdk_image=options.sdk_image,
            cache_bundle=cache,
            disk=options.disk,
            timeout=options.timeout,
        )
        run_interruptibly(self._check(settings))
        digests = self._target.resolve(one for one in (options.sdk_image, cache) if one)
        self._settings = replace(
            settings,
            bundle=self._target.push_agent(terminal),
            sdk_image=digests[options.sdk_image],
            cache_bundle=digests[cache] if cache else None,
        )
        server = connect(options.kubeconfig, options.context).server
        place = replica_place(server, settings.namespace, str(store), options.arch)
        self._store: Store = open_replica(place, options.arch, wait=options.wait, say=terminal.say)
        note = DriverNote(client=client_of(self._store))
        self._lease = StoreLease(self._connect, settings.key, note, terminal.say)
        try:
            if not options.dry_run:
                run_interruptibly(self._lease.acquire(wait=options.wait))
            seen = run_interruptibly(self._look())
            fill_replica(self._store, seen.listing, terminal.say)
            here = replace(options, store=str(place))
            # Which melange the image has, nobody knows; but which image it is.
            image = f"image {self._settings.sdk_image.partition('@')[2]}"
            builder = Builder(options.cluster_limits(seen.capacity), image, str(store))
            self._seen = seen
            self.build: Build = plan_in(self._store, here, terminal.say, builder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the Lease, and of the store's place on this machine."""
        self._lease.close()
        self._store.close()

    def run(self) -> Result:
        """Build what is planned, publish what is finished, and return the result.

        Raises:
            InfrastructureError: the cluster or a registry cannot be reached or refuses.

        """
        build = self.build
        self._key = self._find_key()  # before anything is built that could not be signed
        if build.plan.steps:
            self._warn_of_room()
            tree = definitions_tree(build.directory, include=self._options.include)
            bundle = self._target.push(tree, self._terminal)
            if fingerprints(build.parts, build.graph.packages) != build.fingerprints:
                raise UsageError(
                    f"a definition in {build.directory} changed while it was pushed",
                    hint="run this again",
                )
            run = self._store.runs.begin()
            if before := self._seen.run_of(bundle):
                self._terminal.say(f"going on with run {before}, of which there are Jobs")
            self._settings = replace(self._settings, bundle=bundle, run=before or run.id)
            return run_interruptibly(self._drive(run))
        self._settings = replace(self._settings, run="publish")
        run_interruptibly(self._publish(build.unpublished()))
        return build.end_without_units()

    async def _check(self, settings: JobSettings) -> None:
        place = PlaceChecks(self._options, settings.namespace, self._terminal)
        has_out = self._options.out is not None and not self._options.dry_run
        await check_cluster(place, settings, out=has_out)

    async def _look(self) -> _Seen:
        async with self._cluster() as kube:
            nodes = await read_list(kube, "/api/v1/nodes")
            capacity = capacity_of(nodes or (), self._settings.node, self._options)
            listing = await self._agent(kube).list()
            jobs = await find_jobs(kube, self._settings.key)
            return _Seen(listing, capacity, jobs)

    async def _clear(self, kube: Kube) -> None:
        await clear_jobs(kube, self._settings, self._seen.jobs, self._terminal.say)

    def _warn_of_room(self) -> None:
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
        return StoreAgent(kube, self._settings, self._terminal.say)

    async def _drive(self, run: Run) -> Result:
        build, options = self.build, self._options
        units = UnitResolver.of(build)
        name = key_of(options.make_vars, build.makefile.key)
        server = PackageServer(
            repositories=build.repositories,
            named=named_places(build.options),
            arch=options.arch,
            melange="melange",
            public_key=f"{PurePosixPath(name).name}.pub",
            bypass=bypass_of(options.make_vars),
        )
        orders = make_orders(build, units, server, self._settings.run, confined=options.confined)
        async with self._cluster() as kube:
            runner = JobRunner(kube, self._settings, units, orders, self._terminal)
            self._obey_lease(runner)
            # Who has lost the Lease meanwhile hears of it, and deletes nothing.
            await asyncio.sleep(0)
            await self._clear(kube)
            result = await build.drive(run, runner)
            result = replace(result, open=dict(sorted(runner.open_units.items())))
            keep_result(run, result)
            limit: float | None = _LAST_WORDS
            try:
                if result.stopped != INTERRUPTED and not runner.is_abandoned:
                    done = [*build.unpublished(), *runner.finished]
                    await self._publish_with(kube, done)
                    await self._deliver(kube, done)
                    limit = None
            finally:
                if not runner.is_abandoned:
                    await self._keep_run(kube, run, limit)
        return result

    def _obey_lease(self, runner: JobRunner) -> None:
        """Let the run end as after Ctrl-C if somebody cancels it, and leave its Jobs to who takes it."""
        loop, driving = asyncio.get_running_loop(), asyncio.current_task()
        total = sum(not unit.is_gate for unit in self.build.plan.units)

        def end(why: LeaseEnd) -> None:
            if why.is_lost:
                runner.abandon()
            if driving is not None:
                driving.cancel()

        self._lease.tell_run(self._settings.run)
        self._lease.progress = lambda: f"{len(runner.finished):,} of {total:,} packages are done"
        self._lease.listen(lambda why: loop.call_soon_threadsafe(end, why))

    async def _keep_run(self, kube: Kube, run: Run, limit: float | None) -> None:
        """Keep the files of a run in the store, in so many seconds.

        A build that ended is no failure for lack of them.
        """
        ended = run.state / run.names.result
        files = RunFiles(run.journal.read_bytes(), ended.read_bytes())
        try:
            async with asyncio.timeout(limit):
                await self._agent(kube).keep_run(files)
        except InfrastructureError as error:
            self._terminal.say(f"the journal of the run is not in the store: {error}")
        except TimeoutError:
            self._terminal.say("the journal of the run is not in the store: that took too long")

    async def _publish(self, records: list[Record]) -> None:
        async with self._cluster() as kube:
            await self._clear(kube)
            await self._publish_with(kube, records)
            await self._deliver(kube, records)

    async def _deliver(self, kube: Kube, published: Iterable[Record]) -> None:
        """Bring what the store publishes to the directory of --out, if there is one."""
        if self._options.out is None:
            return
        records = records_there(self._store.records, published)
        arch = self._settings.arch.apk
        where = Path(self._options.out)
        await self._agent(kube).deliver(Delivery(where, arch, records, self._terminal))

    async def _publish_with(self, kube: Kube, records: list[Record]) -> None:
        if records:
            known = self._seen.listing.ram
            now = self._store.hints.all()
            learnt = {name: ram for name, ram in now.items() if ram > known.get(name, 0)}
            given = self._options.signing_key is not None
            await self._agent(kube).publish(records, self._key, learnt, anew=given)

    def _find_key(self) -> SigningKey:
        given = given_key(self._options.signing_key)
        if given is not None:
            return SigningKey(given, f"{given.name}.pub")
        return SigningKey(own_key(self._store, make_key), f"{NAME}.pub")

    def _connect(self, say: Callable[[str], None] = lambda _: None) -> Kube:
        return Kube(connect(self._options.kubeconfig, self._options.context), say)

    @asynccontextmanager
    async def _cluster(self) -> AsyncIterator[Kube]:
        kube = self._connect(self._terminal.say)
        try:
            yield kube
        finally:
            await kube.close()


def build_on_cluster(
    options: UnitBuildOptions, terminal: Terminal, planned: Callable[[Build], None]
) -> Result:
    """Build what is missing as Jobs; `planned` is called before it begins.

    Raises:
        UsageError: something that was asked for is wrong.
        InfrastructureError: the cluster or a registry cannot be reached or refuses.
        Interrupted: somebody asked to stop.

    """
    building = ClusterBuild(options, terminal)
    try:
        planned(building.build)
        return building.run()
    finally:
        building.close()


def plan_on_cluster(options: UnitBuildOptions, terminal: Terminal) -> Build:
    """Plan a build without changing anything.

    Raises:
        UsageError: something that was asked for is wrong.
        InfrastructureError: the cluster or a registry cannot be reached or refuses.

    """
    building = ClusterBuild(options, terminal)
    building.close()
    return building.build
