"""`dag build --on kubernetes`, from its options to a plan, or to a result."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import dag
from dag.core.build.events import INTERRUPTED
from dag.core.build.options import MachineResources
from dag.core.build.result import Result
from dag.core.build.scripts import key_of
from dag.core.jobs.capacity import UNKNOWN, capacity_of
from dag.core.jobs.claims import Claim
from dag.core.jobs.listing import StoreListing
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.options import UnitBuildOptions
from dag.errors import UsageError
from dag.io.image.tree import definitions_tree
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.io.package.makefile import makefile_of
from dag.io.package.signing import SigningKey, make_key
from dag.io.store.ownkey import NAME, own_key
from dag.io.store.runs import Run
from dag.report.terminal import Terminal
from dag.run.build.places import named_places
from dag.run.build.resolving import UnitResolver
from dag.run.build.runs import keep_result
from dag.run.build.serving import PackageServer, bypass_of
from dag.run.build.session import Build, Builder
from dag.run.build.signing import given_key
from dag.run.build.start import plan_in
from dag.run.jobs.mirror import mirror_place, open_mirror
from dag.run.jobs.orders import make_orders
from dag.run.jobs.runner import JobRunner
from dag.run.jobs.stores import ClaimAgent
from dag.run.pod.access import read_list
from dag.run.pod.bundle import BundleTarget, namespace_of
from dag.run.signals import run_interruptibly

if TYPE_CHECKING:
    from dag.core.store.records import Record
    from dag.io.store.local import Store


@dataclass(frozen=True, slots=True)
class _Seen:
    """What there is in the cluster before a run."""

    server: str
    listing: StoreListing
    machine: MachineResources


class ClusterBuild:
    """A build on a cluster, whose store is on a volume claim there."""

    def __init__(self, options: UnitBuildOptions, terminal: Terminal) -> None:
        """Push the agent's image, and ask its agent what the store has.

        Raises:
            UsageError: something that was asked for is wrong.
            InfrastructureError: the cluster or a registry cannot be reached or refuses.

        """
        self._options = options
        self._terminal = terminal
        if options.store is None:
            raise UsageError(
                "--on kubernetes needs a store that all nodes reach",
                hint="name a volume claim with --store pvc://CLAIM",
            )
        claim = Claim.parse(options.store)
        makefile_of(Path(options.directory), options.target_template)
        self._target = BundleTarget.of(options)
        images = (one for one in (options.sdk_image, options.cache_bundle) if one)
        digests = self._target.resolve(images)
        cache = options.cache_bundle
        self._settings = JobSettings(
            namespace=namespace_of(options, terminal),
            run="look",
            arch=options.arch,
            node_arch=options.node_arch,
            store=claim,
            bundle=self._target.push_agent(terminal),
            sdk_image=digests[options.sdk_image],
            cache_bundle=digests[cache] if cache else None,
            service_account=options.service_account,
            confined=options.confined,
            disk=options.disk,
            timeout=options.timeout,
            version=dag.__version__,
        )
        seen = run_interruptibly(self._look())
        place = mirror_place(seen.server, self._settings.namespace, options.store)
        self._store: Store = open_mirror(
            place, options.arch, seen.listing, wait=options.wait, say=terminal.say
        )
        try:
            here = replace(options, store=str(place))
            # Which melange the image has, nobody knows; but which image it is.
            image = f"image {self._settings.sdk_image.partition('@')[2]}"
            builder = Builder(seen.machine, image, str(claim))
            self.build: Build = plan_in(self._store, here, terminal.say, builder)
        except BaseException:
            self._store.close()
            raise

    def close(self) -> None:
        """Let go of the store's place on this machine."""
        self._store.close()

    def run(self) -> Result:
        """Build what is planned, publish what is finished, and return the result.

        Raises:
            InfrastructureError: the cluster or a registry cannot be reached or refuses.

        """
        build = self.build
        if build.plan.steps:
            tree = definitions_tree(build.directory, include=self._options.include)
            bundle = self._target.push(tree, self._terminal)
            run = self._store.runs.begin()
            self._settings = replace(self._settings, bundle=bundle, run=run.id)
            return run_interruptibly(self._drive(run))
        if build.unpublished():
            self._settings = replace(self._settings, run="publish")
            run_interruptibly(self._publish(build.unpublished()))
        return build.end_without_units()

    async def _look(self) -> _Seen:
        async with self._cluster() as kube:
            nodes = await read_list(kube, "/api/v1/nodes")
            listing = await ClaimAgent(kube, self._settings).list()
            arch = self._settings.node
            machine = UNKNOWN if nodes is None else capacity_of(nodes, arch)
            return _Seen(kube.server, listing, machine)

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
        orders = make_orders(build, units, server, run.id, confined=options.confined)
        async with self._cluster() as kube:
            runner = JobRunner(kube, self._settings, units, orders)
            result = await build.drive(run, runner)
            if result.stopped != INTERRUPTED:
                await self._publish_with(kube, [*build.unpublished(), *runner.finished])
        return keep_result(run, replace(result, open=dict(sorted(runner.open_units.items()))))

    async def _publish(self, records: list[Record]) -> None:
        async with self._cluster() as kube:
            await self._publish_with(kube, records)

    async def _publish_with(self, kube: Kube, records: list[Record]) -> None:
        if records:
            await ClaimAgent(kube, self._settings).publish(records, self._key())

    def _key(self) -> SigningKey:
        given = given_key(self._options.signing_key)
        if given is not None:
            return SigningKey(given, f"{given.name}.pub")
        return SigningKey(own_key(self._store, make_key), f"{NAME}.pub")

    @asynccontextmanager
    async def _cluster(self) -> AsyncIterator[Kube]:
        kube = Kube(connect(self._options.kubeconfig, self._options.context), self._terminal.say)
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
