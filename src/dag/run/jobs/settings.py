"""What the flags say of all Jobs in a store of a cluster, whether they build, look or are tried."""

from __future__ import annotations

from dataclasses import replace

import dag
from dag.core.arch import Arch
from dag.core.doctor.options import DoctorOptions
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.options import (
    AttachOptions,
    ClusterLogsOptions,
    ClusterPageOptions,
    ClusterStatusOptions,
    UnitBuildOptions,
)
from dag.core.jobs.publishing import PublishOptions
from dag.core.jobs.stores import store_on_cluster
from dag.core.pod.pieces import proxy_variables
from dag.core.store.buckets import Bucket
from dag.io.kube.api import Kube
from dag.report.terminal import Terminal
from dag.run.pod.access import read_identity
from dag.run.pod.bundle import BundleTarget

RunsOptions = (
    ClusterStatusOptions | ClusterLogsOptions | ClusterPageOptions | PublishOptions | AttachOptions
)
"""The flags of a command that reads the runs of a store."""
AgentImageOptions = UnitBuildOptions | RunsOptions
"""The flags of a command that has agents do something to a store, and pushes their image."""


def store_settings(
    options: AgentImageOptions | DoctorOptions, namespace: str, arch: Arch
) -> JobSettings:
    """Return the settings of Jobs of no run yet, without their images.

    Raises:
        UsageError: the flags name no store that all nodes reach.

    """
    return JobSettings(
        namespace=namespace,
        run="look",
        arch=arch,
        node_arch=options.node_arch,
        store=store_on_cluster(options.store, options.bucket_secret),
        bucket_secret=options.bucket_secret,
        bundle="",
        service_account=options.service_account,
        scheduling=options,
        queue=options.queue,
        confined=options.confined,
        proxies=proxy_variables(options),
        version=dag.__version__,
    )


async def with_identity(kube: Kube, settings: JobSettings) -> JobSettings:
    """Return the settings with the identity that the service account says that it has in a cloud.

    Raises:
        UsageError: an annotation of it has a value that it cannot have.
        ApiError: the API server cannot be reached.

    """
    bucket = settings.store if isinstance(settings.store, Bucket) else None
    identity = await read_identity(kube, settings.namespace, settings.service_account, bucket)
    return replace(settings, identity=identity)


def agent_image(options: AgentImageOptions, terminal: Terminal) -> str:
    """Push the agent's image, and return the name by which nodes know it.

    Raises:
        UsageError: nothing says to which repository.
        RegistryError: a registry cannot be reached or refuses.

    """
    return BundleTarget.of(options).push_agent(terminal)
