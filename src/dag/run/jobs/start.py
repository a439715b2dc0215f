"""`dag build --on kubernetes`, from its options to plans, or to results: one for each architecture.

Nothing that is built for one architecture is an input of what is built for another, and their Jobs
are on other nodes. So each has a plan, a scheduler and a place in the store of its own; what they
have in common is the command: its checks, its bundle, its run, its screen and its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
from dag.errors import DagError, InfrastructureError, Interrupted
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedImages:
    """The images of a build, by the names that nodes know."""

    agent: str
    bundle: str
    digests: dict[str, str]
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


class ClusterBuilds:
    """The builds of one command on a cluster, one for each architecture."""

    def __init__(
        self, options: UnitBuildOptions, terminal: Terminal, handed: Handover | None = None
    ) -> None:
        """Push the agent's image, ask its agents what the store has, and plan.

        `handed` is what a client has told of all that, if the build is driven in the cluster itself.

        Raises:
            UsageError: something that was asked for is wrong.
            InfrastructureError: the cluster or a registry cannot be reached or refuses.

        """
        self._options = options
        self._terminal = terminal
        store_on_cluster(options.store, options.bucket_secret)
        require_inside(options)
        if options.out is not None and not options.dry_run:
            prepare_directory(Path(options.out), Path(options.directory))
        makefile_of(Path(options.directory), options.target_template, options.make_assignments())
        self._handed = handed
        self._images: Images = HandedImages(handed) if handed else BundleTarget.of(options)
        namespace = namespace_of(options, terminal)
        # In the order of their names, so that no two commands wait for each other.
        arches = sorted(options.arch, key=str)
        each = [
            replace(
                store_settings(options, namespace, arch),
                sdk_image=options.sdk_image,
                cache_bundle=options.cache_bundle,
                disk=options.disk,
                timeout=options.timeout,
            )
            for arch in arches
        ]
        each = run_interruptibly(self._check(each))
        self._stack = ExitStack()
        try:
            self._clusters = self._open(each)
            run_interruptibly(self._look())
            for cluster, settings in zip(self._clusters, each, strict=True):
                sharing = sum(one.node.kubernetes == settings.node.kubernetes for one in each)
                # What is found out of the definitions is found out for each.
                cluster.plan(terminal.say_once if len(each) > 1 else terminal.say, sharing=sharing)
        except BaseException:
            self.close()
            raise

    @property
    def builds(self) -> tuple[Build, ...]:
        """Return what is planned for each architecture."""
        return tuple(one.build for one in self._clusters)

    def close(self) -> None:
        """Let go of the Leases, and of the places of the store on this machine."""
        self._stack.close()

    def run(self) -> ClusterOutcome:
        """Build what is planned and publish what is finished; one that fails does not end the others.

        Raises:
            UsageError: a definition has changed meanwhile.
            InfrastructureError: a registry cannot be reached or refuses.
            Interrupted: somebody asked to stop, and there is no result.

        """
        for one in self._clusters:
            one.find_key()
        bundle = self.push().bundle if self.has_work else ""
        return run_interruptibly(self._run(bundle))

    @property
    def has_work(self) -> bool:
        """Return whether there is something to build."""
        return any(one.build.plan.steps for one in self._clusters)

    @property
    def settings(self) -> JobSettings:
        """Return the settings of Jobs that are for no one architecture."""
        return self._clusters[0].settings

    def push(self) -> PushedImages:
        """Push what is to be built, and return the images.

        Raises:
            UsageError: a definition has changed meanwhile.
            RegistryError: a registry cannot be reached or refuses.

        """
        building = [one for one in self._clusters if one.build.plan.steps]
        for one in building:
            one.warn_of_room()
        tree = definitions_tree(Path(self._options.directory), include=self._options.include)
        bundle = self._images.push(tree, self._terminal)
        for one in building:
            one.require_unchanged()
        return replace(self._pushed, bundle=bundle)

    def capacity(self) -> dict[str, ClusterCapacity]:
        """Return what units may take of the nodes, by the architecture."""
        return {one.build.arch.apk: one.capacity for one in self._clusters}

    def facts(self) -> dict[str, DirectoryFacts]:
        """Return what this machine knows of the definitions, by the architecture.

        Raises:
            UsageError: $SOURCE_DATE_EPOCH is not a number.

        """
        return {one.arch.apk: find_facts(one) for one in self.builds}

    def run_before(self, bundle: str) -> str:
        """Return the newest run of a bundle of which Jobs are there; empty if there is none."""
        return max(one.run_before(bundle) for one in self._clusters)

    def _open(self, each: list[JobSettings]) -> list[ClusterBuild]:
        """Return the builds, with the images that they have in common."""
        options = self._options
        cache = options.cache_bundle
        digests = self._images.resolve(named_images(options))
        agent = self._images.push_agent(self._terminal)
        self._pushed = PushedImages(agent=agent, bundle="", digests=digests)
        clusters = []
        for one in each:
            settings = replace(
                one,
                bundle=agent,
                sdk_image=digests[options.sdk_image],
                cache_bundle=digests[cache] if cache else None,
            )
            arch, label = settings.arch.apk, self._label(settings.arch.apk)
            cluster = ClusterBuild(
                replace(
                    options,
                    report=options.report and page_of(options.report, arch if label else ""),
                ),
                settings,
                self._terminal.about(label),
                self._handed,
            )
            self._stack.callback(cluster.close)
            clusters.append(cluster)
        return clusters

    def _label(self, arch: str) -> str:
        """Return what names an architecture before all that is said of it, where there are several."""
        return arch if len(self._options.arch) > 1 else ""

    async def _check(self, each: list[JobSettings]) -> list[JobSettings]:
        """Find out whether the cluster takes the Jobs; return the settings with agents' identities."""
        options = self._options
        place = PlaceChecks(options, each[0].namespace, self._terminal)
        works = not options.dry_run
        out = options.out is not None and works
        detach = options.detach and works
        await check_cluster(place, each[0], self._terminal.say, out=out, detach=detach)
        async with opened_cluster(self._options, self._terminal.say) as kube:
            for settings in each:
                spec = scheduling_fields(settings.node, settings.scheduling)
                await look_for_nodes(kube, spec, self._terminal.say_once)
            return [await with_identity(kube, settings) for settings in each]

    async def _look(self) -> None:
        if not self._options.dry_run:
            for one in self._clusters:
                await one.acquire()
        await asyncio.gather(*(one.look() for one in self._clusters))

    async def _run(self, bundle: str) -> ClusterOutcome:
        """Run all builds at once, and wait for all of them, also when this is cancelled."""
        mine = self._handed.run if self._handed else new_run_id()
        whole = asyncio.current_task()
        assert whole is not None  # noqa: S101  # asyncio.run runs tasks
        before = [one.run_before(bundle) if bundle else "" for one in self._clusters]
        if there := sorted({*before} - {""}):
            self._terminal.say(f"going on with run {' and '.join(there)}, of which there are Jobs")
        name = there[-1] if there else mine
        group = BuildGroup(is_several=len(self._clusters) > 1)
        tasks = [
            asyncio.create_task(
                cluster.run(
                    ChosenRun(id=mine, name=earlier or name, bundle=bundle, end=whole.cancel),
                    group,
                )
            )
            for cluster, earlier in zip(self._clusters, before, strict=True)
        ]
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            whole.uncancel()
        return self._outcome(tasks)

    def _outcome(self, tasks: list[asyncio.Task[Result]]) -> ClusterOutcome:
        results: list[Result] = []
        errors: list[DagError] = []
        for task, cluster in zip(tasks, self._clusters, strict=True):
            if task.cancelled() and cluster.loss:
                hint = "`dag status` tells of the run; the same command goes on with it"
                errors.append(InfrastructureError(cluster.loss, hint=hint))
            elif task.cancelled():
                errors.append(Interrupted("interrupted"))
            elif (error := task.exception()) is None:
                results.append(task.result())
            elif isinstance(error, DagError):
                if label := self._label(cluster.build.arch.apk):
                    error.message = f"{label}: {error.message}"
                errors.append(error)
            else:
                raise error
        return ClusterOutcome(results=tuple(results), errors=tuple(errors))


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
    building = ClusterBuilds(options, terminal, handed)
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
    building = ClusterBuilds(options, terminal)
    building.close()
    return building.builds
