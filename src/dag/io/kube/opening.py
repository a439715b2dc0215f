"""Opens a connection to the cluster that the flags of a command name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from dag.core.kube.options import NamesCluster
from dag.io.kube.api import Kube
from dag.io.kube.kubeconfig import connect


def open_cluster(chosen: NamesCluster, notice: Callable[[str], None]) -> Kube:
    """Return a connection to the cluster, which nobody has asked for anything yet; see `Kube`.

    Raises:
        UsageError: a kubeconfig cannot be read, or has no such context, or one with mistakes.
        InfrastructureError: there is no configuration, or one that cannot be followed.

    """
    return Kube(connect(chosen.kubeconfig, chosen.context), notice)


@asynccontextmanager
async def opened_cluster(
    chosen: NamesCluster, notice: Callable[[str], None]
) -> AsyncIterator[Kube]:
    """Yield a connection to the cluster, and close it in the end; see `open_cluster`."""
    kube = open_cluster(chosen, notice)
    try:
        yield kube
    finally:
        await kube.close()
