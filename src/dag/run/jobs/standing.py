"""Asks the cluster how a run stands, from whichever machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from dag.core.arch import ARCHITECTURES
from dag.core.jobs.names import StoreInCluster
from dag.core.jobs.options import RunPlace
from dag.core.jobs.standing import Standing, standings_of
from dag.core.pod.manifest import ARCH_LABEL
from dag.io.kube.api import Kube
from dag.io.kube.opening import opened_cluster
from dag.report.terminal import say
from dag.run.jobs.lease import LeaseObject
from dag.run.pod.bundle import namespace_of
from dag.run.signals import run_interruptibly


def stores_in_cluster(options: RunPlace) -> dict[str, StoreInCluster]:
    """Return the store that the flags name as the API knows it, by the architectures asked for.

    Raises:
        UsageError: they name none that all nodes reach.

    """
    namespace, store = namespace_of(options), str(options.cluster_store())
    archs = ARCHITECTURES if options.arch is None else [one.apk for one in options.arch]
    return {arch: StoreInCluster(namespace, arch, store) for arch in archs}


async def read_standings(
    kube: Kube, keys: Mapping[str, StoreInCluster], words: str
) -> list[Standing]:
    """Return how the newest run stands whose id begins with `words`, for each of its architectures.

    There is nothing if there is no such run. `keys` are of one store.

    Raises:
        ApiError: the API server cannot be reached, or refuses.

    """
    one = next(iter(keys.values()))
    jobs, pods, leases = await asyncio.gather(
        kube.items(one.jobs_path, labelSelector=one.selector_of_all()),
        kube.items(one.pods_path, labelSelector=one.selector_of_all()),
        asyncio.gather(*(LeaseObject(kube, key).read() for key in keys.values())),
    )
    found = {arch: lease for arch, lease in zip(keys, leases, strict=True) if lease is not None}
    asked = [job for job in jobs if job["metadata"]["labels"].get(ARCH_LABEL) in keys]
    return standings_of(found, asked, pods, words)


def look_at_run(options: RunPlace, words: str) -> list[Standing]:
    """Return how the newest run stands whose id begins with `words`, for each of its architectures.

    There is nothing if there is no such run.

    Raises:
        UsageError: the flags name no cluster or no store.
        ApiError: the API server cannot be reached, or refuses.

    """

    async def look() -> list[Standing]:
        async with opened_cluster(options, say) as kube:
            return await read_standings(kube, stores_in_cluster(options), words)

    return run_interruptibly(look())
