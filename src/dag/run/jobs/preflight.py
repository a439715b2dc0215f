"""Asks the cluster, before anything is pushed or created, whether units could be built there."""

from __future__ import annotations

import re

from dag.core.jobs.claimchecks import require_shared_claim
from dag.core.jobs.claims import Claim
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.permissions import permissions_for_jobs
from dag.errors import InfrastructureError
from dag.io.kube.api import Kube
from dag.run.pod.access import Unreadable, read_object, require_permissions

_USER_NAMESPACES = 33
"""The first minor version of Kubernetes 1 in which pods get user namespaces if they ask for them."""


async def check_cluster(kube: Kube, settings: JobSettings) -> None:
    """Find out whether a cluster takes the Jobs of these settings.

    Raises:
        UsageError: the claim cannot be a store.
        InfrastructureError: the cluster is too old, or a permission is missing.
        ApiError: the API server cannot be reached.

    """
    namespace = settings.namespace
    await require_permissions(kube, namespace, permissions_for_jobs())
    if settings.confined:
        await _require_user_namespaces(kube)
    if isinstance(settings.store, Claim):
        await _require_claim(kube, namespace, settings.store)


async def _require_claim(kube: Kube, namespace: str, store: Claim) -> None:
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{store.name}"
    try:
        claim = await read_object(kube, path)
    except Unreadable:
        return  # then the Pods of Jobs tell
    require_shared_claim(store, namespace, claim)


async def _require_user_namespaces(kube: Kube) -> None:
    version = await kube.get("/version")
    minor = re.match(r"\d+", str(version.get("minor", "")))
    if str(version.get("major")) == "1" and minor and int(minor[0]) < _USER_NAMESPACES:
        raise InfrastructureError(
            f"Kubernetes {version['gitVersion']} gives pods no user namespaces unless somebody has"
            " switched that on",
            hint="build with --isolation privileged, or on Kubernetes 1.33 or later",
        )
