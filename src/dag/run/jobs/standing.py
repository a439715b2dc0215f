"""Asks the cluster how a run stands, from whichever machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dag.core.jobs.names import StoreInCluster
from dag.core.jobs.options import RunPlace
from dag.core.jobs.standing import Standing, standing_of
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect
from dag.report.terminal import say
from dag.run.jobs.lease import LeaseObject
from dag.run.pod.bundle import namespace_of
from dag.run.signals import run_interruptibly


@asynccontextmanager
async def opened_cluster(options: RunPlace) -> AsyncIterator[Kube]:
    """Open a connection to the cluster that the flags name.

    Raises:
        UsageError: a kubeconfig cannot be read, or has no such context.

    """
    kube = Kube(connect(options.kubeconfig, options.context), say)
    try:
        yield kube
    finally:
        await kube.close()


def store_in_cluster(options: RunPlace) -> StoreInCluster:
    """Return the store that the flags name, as the API knows it.

    Raises:
        UsageError: they name none that all nodes reach.

    """
    return StoreInCluster(namespace_of(options), options.arch.apk, str(options.cluster_store()))


async def read_standing(kube: Kube, key: StoreInCluster, words: str) -> Standing | None:
    """Return how the newest run stands whose id begins with `words`; None if there is none.

    Raises:
        ApiError: the API server cannot be reached, or refuses.

    """
    lease, jobs, pods = await asyncio.gather(
        LeaseObject(kube, key).read(),
        kube.items(key.jobs_path, labelSelector=key.selector()),
        kube.items(key.pods_path, labelSelector=key.selector()),
    )
    return standing_of(lease, jobs, pods, words)


def look_at_run(options: RunPlace, words: str) -> Standing | None:
    """Return how the newest run stands whose id begins with `words`; None if there is none.

    Raises:
        UsageError: the flags name no cluster or no store.
        ApiError: the API server cannot be reached, or refuses.

    """

    async def look() -> Standing | None:
        async with opened_cluster(options) as kube:
            return await read_standing(kube, store_in_cluster(options), words)

    return run_interruptibly(look())
