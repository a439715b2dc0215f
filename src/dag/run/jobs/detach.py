"""`dag build --on kubernetes --detach`: plans a build here, and hands it over to a Job that drives it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dag.core.flagtexts import texts_of
from dag.core.image.layers import BUNDLE_ROOT
from dag.core.jobs.driver import DRIVER, driver_job, driver_name, is_driver, is_driver_for
from dag.core.jobs.ending import how_agent_ended
from dag.core.jobs.handover import Handover, encode_handover, mark_of
from dag.core.jobs.names import JOB_LABEL, StoreInCluster
from dag.core.jobs.options import UnitBuildOptions
from dag.core.jobs.queues import queue_of
from dag.core.kube.objects import KubeObject
from dag.core.pod.ending import Cause
from dag.core.pod.manifest import RUN_LABEL
from dag.core.pod.states import WatchRules
from dag.core.pod.status import containers, termination
from dag.errors import InfrastructureError, Interrupted
from dag.io.kube.api import Kube
from dag.io.kube.opening import opened_cluster
from dag.io.store.lock import Held
from dag.io.store.runs import new_run_id
from dag.report.terminal import Terminal, say
from dag.run.build.session import Build
from dag.run.jobs.attach import end_of, error_of, run_goes_on
from dag.run.jobs.attempt import JobFollower
from dag.run.jobs.lease import LeaseObject
from dag.run.jobs.news import RunNews
from dag.run.jobs.standing import stores_in_cluster
from dag.run.jobs.start import ClusterBuilds, PushedImages, open_builds, push_images
from dag.run.pod.bundle import namespace_of
from dag.run.signals import run_interruptibly

_LOOK = 1.0
"""Seconds between two looks whether a Job is gone."""


@dataclass(frozen=True, slots=True)
class Detached:
    """A run that is driven in the cluster."""

    run: str
    job: str
    """The driver's Job."""
    is_new: bool
    """Whether it was not driven there before."""


def detach_build(
    options: UnitBuildOptions, terminal: Terminal, planned: Callable[[Build], None]
) -> Detached | None:
    """Plan a build, and have the cluster drive it; return None if there is nothing to build.

    What is driven there already is left as it is. `planned` is called with each plan.

    Raises:
        UsageError: something that was asked for is wrong.
        InfrastructureError: the cluster or a registry cannot be reached or refuses, the driver does
            not begin, or somebody else drives a build in the store.
        Interrupted: somebody asked to stop. Nothing is driven in the cluster then, or the error says
            what is.

    """
    options = replace(options, publish=False)  # who attaches later does that, and may have the key
    try:
        building = open_builds(options, terminal)
    except Held:
        found = run_interruptibly(_find_same(options, push_images(options, terminal)))
        if found is None:
            raise
        return found
    try:
        for one in building.builds:
            planned(one)
        if not building.has_work:
            return None
        detached = run_interruptibly(_hand_over(building, options, terminal))
    finally:
        building.close()
    if detached.is_new and options.queue is None:
        try:
            run_interruptibly(_await_driver(options, detached, terminal))
        except Interrupted:
            raise run_goes_on(detached.run) from None
    return detached


async def _hand_over(
    building: ClusterBuilds, options: UnitBuildOptions, terminal: Terminal
) -> Detached:
    images = building.push()
    if (found := await _find_same(options, images)) is not None:
        return found
    run = building.run_before(images.bundle) or new_run_id()
    settings = replace(building.settings, run=run, bundle=images.bundle)
    flags = flags_for_driver(options, settings.namespace, images.digests)
    handover = Handover(
        run=run,
        client=secrets.token_hex(16),
        job=driver_name(run, settings.key),
        agent=images.agent,
        bundle=images.bundle,
        flags=flags,
        facts=building.facts(),
        capacity=building.capacity(),
    )
    mark = mark_of(images.bundle, flags)
    manifest = driver_job(settings, encode_handover(handover), mark)
    async with opened_cluster(options, say) as kube:
        await _remove_driver(kube, settings.key, handover.job)
        await _start(kube, settings.key, manifest, terminal)
    return Detached(run, handover.job, is_new=True)


async def _find_same(options: UnitBuildOptions, images: PushedImages) -> Detached | None:
    """Return the run that is driven in the cluster already, if it is just the one that is asked for."""
    flags = flags_for_driver(options, namespace_of(options), images.digests)
    mark = mark_of(images.bundle, flags)
    key = next(iter(stores_in_cluster(options).values()))
    async with opened_cluster(options, say) as kube:
        jobs = await kube.items(key.jobs_path, labelSelector=key.selector_of_all())
    for job in jobs:
        if is_driver(job) and is_driver_for(job, mark):
            about = job["metadata"]
            return Detached(str(about["labels"][RUN_LABEL]), str(about["name"]), is_new=False)
    return None


async def _remove_driver(kube: Kube, key: StoreInCluster, name: str) -> None:
    """Remove the Job of an earlier driver of the same run, and wait until it is gone."""
    path = f"{key.jobs_path}/{name}"
    while (found := await kube.find(path)) is not None:
        await kube.delete(path, uid=str(found["metadata"]["uid"]), dependents=True)
        await asyncio.sleep(_LOOK)


async def _start(kube: Kube, key: StoreInCluster, manifest: KubeObject, terminal: Terminal) -> None:
    """Make the Job of a driver, and wait until its Pod has begun; else nothing is left of it.

    One that waits in a queue is left there.

    Raises:
        InfrastructureError: it does not begin.

    """
    if queue_of(manifest) is not None:  # its turn may come when nobody is here
        await kube.create_named(key.jobs_path, manifest)
        return
    news = RunNews(kube, key.namespace, key.selector(manifest["metadata"]["labels"][RUN_LABEL]))
    news.open()
    try:
        follower = JobFollower(kube, news, manifest, _RULES, terminal.about("the driver").say)
        following = asyncio.create_task(follower.run())
        begun = asyncio.create_task(follower.started.wait())
        try:
            await asyncio.wait((following, begun), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                news.is_abandoned = True
                return
            ending = following.result().ending
            if ending.cause is not Cause.DONE:
                raise InfrastructureError(
                    f"the driver could not begin: {ending.message}", hint=ending.hint
                )
        finally:
            for task in (following, begun):
                task.cancel()
            await asyncio.gather(following, begun, return_exceptions=True)
    finally:
        await news.close()


async def _await_driver(options: UnitBuildOptions, detached: Detached, terminal: Terminal) -> None:
    """Wait until a driver holds the Lease of the store, or waits for it because somebody else does.

    Raises:
        DagError: it cannot drive, such as for lack of permissions; its Job is deleted.

    """
    key = next(iter(stores_in_cluster(options).values()))
    async with opened_cluster(options, say) as kube:
        while True:
            lease = await LeaseObject(kube, key).read()
            if lease is not None and lease.note.job == detached.job:
                return
            if lease is not None and lease.holder:
                terminal.say(
                    f"{lease.holder} drives another run now, and the driver waits for that"
                )
                return
            pods = await kube.items(key.pods_path, labelSelector=f"{JOB_LABEL}={detached.job}")
            for pod in pods:
                ended = termination(containers(pod).get(DRIVER, {}))
                if ended is None:
                    continue
                end = end_of(ended)
                if not end.words:
                    return  # it has driven the run to its end
                await _remove_driver(kube, key, detached.job)
                raise error_of(end, "the driver ended")
            await asyncio.sleep(_LOOK)


def flags_for_driver(
    options: UnitBuildOptions, namespace: str, digests: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return what a driver in a cluster is asked for, if a client is asked for `options`.

    There the directory is that of the bundle, the cluster is the one around it, images have their
    `digests`, and there is no key, no terminal and nobody who reads files. `require_inside` has
    looked at the paths.
    """
    root = Path(options.directory).resolve()

    def inside(place: str) -> str:
        if "://" in place:
            return place
        return f"/{BUNDLE_ROOT}/{Path(place).resolve().relative_to(root)}"

    cache = options.cache_bundle
    asked = replace(
        options,
        directory=f"/{BUNDLE_ROOT}",
        pipeline_dirs=tuple(map(inside, options.pipeline_dirs)),
        repositories=tuple(map(inside, options.repositories)),
        keyrings=tuple(map(inside, options.keyrings)),
        namespace=namespace,
        kubeconfig=None,
        context=None,
        sdk_image=digests[options.sdk_image],
        cache_bundle=digests[cache] if cache else None,
        signing_key=None,
        detach=False,
        wait=True,
        quiet=False,
        json=False,
        color="never",
        bundle_repo=None,
        project=None,
        pull_repo=None,
        bundle_base=None,
        agent_image=None,
        insecure_registry=False,
    )
    return texts_of(asked)


_RULES = WatchRules(
    pending_timeout=3600.0,
    hopeless_grace=60.0,
    stalled_grace=300.0,
    main=DRIVER,
    how_ended=partial(how_agent_ended, DRIVER),
    tells_creation=False,
    reads_logs=False,
)
