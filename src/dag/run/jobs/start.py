"""`dag build --on kubernetes`, from its options to plans, or to results: one for each architecture.

Nothing that is built for one architecture is an input of what is built for another, and their Jobs
are on other nodes. So each has a plan, a scheduler and a place in the store of its own; what they
have in common is the command: its checks, its bundle, its run, its screen and its end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from dag.core.build.directoryfacts import DirectoryFacts
from dag.core.build.result import Result, exit_code_of
from dag.core.jobs.capacity import ClusterCapacity
from dag.core.jobs.handover import Handover
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.options import UnitBuildOptions
from dag.core.jobs.stores import store_on_cluster
from dag.core.pod.scheduling import scheduling_fields
from dag.errors import DagError, Interrupted
from dag.io.image.tree import definitions_tree
from dag.io.kube.opening import opened_cluster
from dag.io.package.makefile import makefile_of
from dag.io.store.runs import new_run_id
from dag.report.terminal import Terminal
from dag.run.build.facts import find_facts
from dag.run.build.group import BuildGroup
from dag.run.build.pages import page_of
from dag.run.build.session import Build
from dag.run.jobs.build import ChosenRun, ClusterBuild
from dag.run.jobs.clusterstore import ClusterStore, SeenCluster
from dag.run.jobs.images import HandedImages, Images
from dag.run.jobs.orders import require_inside
from dag.run.jobs.preflight import check_cluster
from dag.run.jobs.settings import store_settings, with_identity
from dag.run.pod.bundle import BundleTarget, namespace_of
from dag.run.pod.out import prepare_directory
from dag.run.pod.place import PlaceChecks
from dag.run.pod.preflight import look_for_nodes
from dag.run.signals import run_interruptibly


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOutcome:
    """The end of a command."""

    results: tuple[Result, ...]
    """One for each architecture that was built to its end, in the order of their names."""
    errors: tuple[DagError, ...] = ()
    """Why there is none for the others; each names its architecture if there are several."""

    @property
    def exit_code(self) -> int:
        """Return how the command ends; see `exit_code_of`."""
        built = {one.exit_code for one in self.results}
        return exit_code_of(built | {one.exit_code for one in self.errors})

    @property
    def worst(self) -> DagError | None:
        """Return the error for which the command ends so; None if a result says why."""
        return next((one for one in self.errors if one.exit_code == self.exit_code), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedImages:
    """The images of a build, by the names that nodes know."""

    agent: str
    bundle: str
    digests: Mapping[str, str]
    """Each image that a flag names → its name by digest."""


def push_images(options: UnitBuildOptions, terminal: Terminal) -> PushedImages:
    """Push the agent's image and the bundle of the directory, and find out what other images are.

    Raises:
        UsageError: nothing says to which repository.
        RegistryError: a registry cannot be reached or refuses.

    """
    target = BundleTarget.of(options)
    tree = definitions_tree(Path(options.directory), include=options.include)
    return PushedImages(
        agent=target.push_agent(terminal),
        bundle=target.push(tree, terminal),
        digests=target.resolve(named_images(options)),
    )


def named_images(options: UnitBuildOptions) -> list[str]:
    """Return the images that flags name."""
    return [one for one in (options.sdk_image, options.cache_bundle) if one]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterBuilds:
    """The builds of one command on a cluster, one for each architecture."""

    options: UnitBuildOptions
    terminal: Terminal
    handed: Handover | None
    images: Images
    """What pushes the bundle."""
    agent: str
    """The image of the agent, by the name that nodes know."""
    digests: Mapping[str, str]
    """Each image that a flag names → its name by digest."""
    clusters: tuple[ClusterBuild, ...]
    opened: ExitStack
    """The Leases, and the places of the store on this machine."""

    @property
    def builds(self) -> tuple[Build, ...]:
        """Return what is planned for each architecture."""
        return tuple(one.build for one in self.clusters)

    def close(self) -> None:
        """Let go of the Leases, and of the places of the store on this machine."""
        self.opened.close()

    def run(self) -> ClusterOutcome:
        """Build what is planned and publish what is finished; one that fails does not end the others.

        Raises:
            UsageError: a definition has changed meanwhile.
            InfrastructureError: a registry cannot be reached or refuses.
            Interrupted: somebody asked to stop, and there is no result.

        """
        for one in self.clusters:
            one.store.find_key()
        bundle = self.push().bundle if self.has_work else ""
        return run_interruptibly(self._run(bundle))

    @property
    def has_work(self) -> bool:
        """Return whether there is something to build."""
        return any(build.plan.steps for build in self.builds)

    @property
    def settings(self) -> JobSettings:
        """Return the settings of Jobs that are for no one architecture."""
        return self.clusters[0].store.settings

    def push(self) -> PushedImages:
        """Push what is to be built, and return the images.

        Raises:
            UsageError: a definition has changed meanwhile.
            RegistryError: a registry cannot be reached or refuses.

        """
        building = [one for one in self.clusters if one.build.plan.steps]
        for one in building:
            one.warn_of_room()
        tree = definitions_tree(Path(self.options.directory), include=self.options.include)
        bundle = self.images.push(tree, self.terminal)
        for one in building:
            one.require_unchanged()
        return PushedImages(agent=self.agent, bundle=bundle, digests=self.digests)

    def capacity(self) -> dict[str, ClusterCapacity]:
        """Return what units may take of the nodes, by the architecture."""
        return {one.store.settings.arch.apk: one.seen.capacity for one in self.clusters}

    def facts(self) -> dict[str, DirectoryFacts]:
        """Return what this machine knows of the definitions, by the architecture.

        Raises:
            UsageError: $SOURCE_DATE_EPOCH is not a number.

        """
        return {one.basis.arch.apk: find_facts(one.basis) for one in self.builds}

    def run_before(self, bundle: str) -> str:
        """Return the newest run of a bundle of which Jobs are there; empty if there is none."""
        return max(one.seen.run_of(bundle) for one in self.clusters)

    async def _run(self, bundle: str) -> ClusterOutcome:
        """Run all builds at once, and wait for all of them, also when this is cancelled."""
        mine = self.handed.run if self.handed else new_run_id()
        whole = asyncio.current_task()
        assert whole is not None  # noqa: S101  # asyncio.run runs tasks
        before = [one.seen.run_of(bundle) if bundle else "" for one in self.clusters]
        if there := sorted({*before} - {""}):
            self.terminal.say(f"going on with run {' and '.join(there)}, of which there are Jobs")
        name = there[-1] if there else mine
        group = BuildGroup(is_several=len(self.clusters) > 1)
        tasks = [
            asyncio.create_task(
                cluster.run(
                    ChosenRun(id=mine, name=earlier or name, bundle=bundle, end=whole.cancel),
                    group,
                )
            )
            for cluster, earlier in zip(self.clusters, before, strict=True)
        ]
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            whole.uncancel()
        return self._outcome(tasks)

    def _outcome(self, tasks: list[asyncio.Task[Result]]) -> ClusterOutcome:
        results: list[Result] = []
        errors: list[DagError] = []
        for task, cluster in zip(tasks, self.clusters, strict=True):
            if task.cancelled():
                errors.append(Interrupted("interrupted"))
            elif (error := task.exception()) is None:
                results.append(task.result())
            elif isinstance(error, DagError):
                if label := _label(self.options, cluster.store.settings):
                    error.message = f"{label}: {error.message}"
                errors.append(error)
            else:
                raise error
        return ClusterOutcome(results=tuple(results), errors=tuple(errors))


def open_builds(
    options: UnitBuildOptions, terminal: Terminal, handed: Handover | None = None
) -> ClusterBuilds:
    """Push the agent's image, ask its agents what the store has, and plan.

    `handed` is what a client has told of all that, if the build is driven in the cluster itself.

    Raises:
        UsageError: something that was asked for is wrong.
        InfrastructureError: the cluster or a registry cannot be reached or refuses.

    """
    store_on_cluster(options.store, options.bucket_secret)
    require_inside(options)
    if options.out is not None and not options.dry_run:
        prepare_directory(Path(options.out), Path(options.directory))
    makefile_of(Path(options.directory), options.target_template, options.make_assignments())
    images: Images = HandedImages(handed) if handed else BundleTarget.of(options)
    checked = run_interruptibly(_check(options, terminal))
    digests, agent = images.resolve(named_images(options)), images.push_agent(terminal)
    cache = options.cache_bundle
    each = [
        replace(
            one,
            bundle=agent,
            sdk_image=digests[options.sdk_image],
            cache_bundle=digests[cache] if cache else None,
        )
        for one in checked
    ]
    with ExitStack() as stack:
        stores = []
        for settings in each:
            store = _open_store(options, settings, terminal, handed)
            stack.callback(store.close)
            stores.append(store)
        seen = run_interruptibly(_look(stores))
        # What is found out of the definitions is found out for each.
        say = terminal.say_once if len(each) > 1 else terminal.say
        nodes = Counter(one.node.kubernetes for one in each)
        clusters = tuple(
            ClusterBuild.plan(one, there, say, sharing=nodes[one.settings.node.kubernetes])
            for one, there in zip(stores, seen, strict=True)
        )
        return ClusterBuilds(
            options=options,
            terminal=terminal,
            handed=handed,
            images=images,
            agent=agent,
            digests=digests,
            clusters=clusters,
            opened=stack.pop_all(),
        )


async def _check(options: UnitBuildOptions, terminal: Terminal) -> list[JobSettings]:
    """Find out whether the cluster takes the Jobs; return their settings, in the order of architectures.

    In that order no two commands wait for each other.
    """
    namespace = namespace_of(options, terminal)
    each = [
        replace(
            store_settings(options, namespace, arch),
            sdk_image=options.sdk_image,
            cache_bundle=options.cache_bundle,
            disk=options.disk,
            timeout=options.timeout,
        )
        for arch in sorted(options.arch, key=str)
    ]
    works = not options.dry_run
    out = options.out is not None and works
    detach = options.detach and works
    place = PlaceChecks(options, namespace, terminal)
    await check_cluster(place, each[0], terminal.say, out=out, detach=detach)
    async with opened_cluster(options, terminal.say) as kube:
        for settings in each:
            spec = scheduling_fields(settings.node, settings.scheduling)
            await look_for_nodes(kube, spec, terminal.say_once)
        return [await with_identity(kube, settings) for settings in each]


def _open_store(
    options: UnitBuildOptions, settings: JobSettings, terminal: Terminal, handed: Handover | None
) -> ClusterStore:
    label = _label(options, settings)
    report = options.report and page_of(options.report, label)
    return ClusterStore(replace(options, report=report), settings, terminal.about(label), handed)


def _label(options: UnitBuildOptions, settings: JobSettings) -> str:
    """Return what names an architecture before all that is said of it, where there are several."""
    return settings.arch.apk if len(options.arch) > 1 else ""


async def _look(stores: Sequence[ClusterStore]) -> list[SeenCluster]:
    for one in stores:
        if not one.options.dry_run:
            await one.acquire()
    return await asyncio.gather(*(one.look() for one in stores))


def build_on_cluster(
    options: UnitBuildOptions,
    terminal: Terminal,
    planned: Callable[[Build], None],
    handed: Handover | None = None,
) -> ClusterOutcome:
    """Build what is missing as Jobs; `planned` is called with each plan before anything begins.

    `handed` is what a client has told of the build, if it is driven in the cluster itself.

    Raises:
        UsageError: something that was asked for is wrong.
        InfrastructureError: the cluster or a registry cannot be reached or refuses.
        Interrupted: somebody asked to stop.

    """
    building = open_builds(options, terminal, handed)
    try:
        for one in building.builds:
            planned(one)
        return building.run()
    finally:
        building.close()


def plan_on_cluster(options: UnitBuildOptions, terminal: Terminal) -> tuple[Build, ...]:
    """Plan a build for each architecture, without changing anything.

    Raises:
        UsageError: something that was asked for is wrong.
        InfrastructureError: the cluster or a registry cannot be reached or refuses.

    """
    building = open_builds(options, terminal)
    building.close()
    return building.builds
