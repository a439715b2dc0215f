"""Asks the cluster, before anything is pushed, whether this Pod could run there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dag.core.doctor import checks as doctor
from dag.core.doctor.checks import Finding, Status
from dag.core.kube.objects import KubeObject, KubeView
from dag.core.pod.manifest import SECRET_PROVIDER_CLASS
from dag.core.pod.permissions import permissions_for_pod
from dag.core.pod.waiting import USER_NAMESPACES
from dag.errors import InfrastructureError
from dag.io.kube.api import ApiError, Kube
from dag.run.pod.access import (
    Unreadable,
    read_list,
    read_object,
    require_permissions,
)
from dag.run.pod.create import pods_path, selector

DRIVERS = "/apis/storage.k8s.io/v1/csidrivers"


async def check_pod(
    kube: Kube, manifest: KubeObject, *, follow: bool, out: bool, warn: Callable[[str], None]
) -> None:
    """Find out whether the cluster would take this Pod; `warn` is told what may yet heal.

    A dry run meets all that a real request meets: the namespace, quotas, Pod Security, the service
    account. What following needs is asked for beside it, and what the Pod mounts.

    Raises:
        ApiError: the API server cannot be reached, or would refuse.
        InfrastructureError: something that the Pod or its watcher needs is not there.

    """
    namespace = manifest["metadata"]["namespace"]
    await require_permissions(kube, namespace, permissions_for_pod(follow=follow, out=out))
    await dry_run(kube, manifest)
    await asyncio.gather(_check_key(kube, manifest), look_for_nodes(kube, manifest["spec"], warn))


async def dry_run(kube: Kube, manifest: KubeObject) -> None:
    """Let the API server say what it would make of a request to create this Pod.

    Raises:
        ApiError: it would refuse.
        InfrastructureError: it would leave out what confines the Pod.

    """
    try:
        answer = await kube.create(
            pods_path(manifest), manifest, label=selector(manifest), dry_run=True
        )
    except ApiError as error:
        # A webhook that knows no dry run says nothing about the real request.
        if error.status != 400 or "dry run" not in error.message:
            raise
        return
    if not _confinement(manifest) <= _confinement(answer):
        # What it did tells, not its version: it may have them switched on, or off.
        # https://kubernetes.io/docs/concepts/workloads/pods/user-namespaces/
        version = doctor.version_name(await kube.get("/version"))
        raise InfrastructureError(
            f"this cluster ({version}) has no user namespaces for pods",
            hint=f"Kubernetes 1.33 has them, and its {USER_NAMESPACES}",
        )


def _confinement(pod: KubeView) -> set[tuple[str, object]]:
    """Return what an API server drops if it does not know it. Webhooks may add containers."""
    found: set[tuple[str, object]] = set()
    if pod["spec"].get("hostUsers") is False:
        found.add(("hostUsers", False))
    for one in pod["spec"]["containers"]:
        mount = (one.get("securityContext") or {}).get("procMount", "Default")
        if mount != "Default":
            found.add((one["name"], mount))
    return found


async def _check_key(kube: Kube, manifest: KubeObject) -> None:
    namespace = manifest["metadata"]["namespace"]
    for volume in manifest["spec"]["volumes"]:
        if "csi" in volume:
            driver = volume["csi"]["driver"]
            _require(doctor.csi_driver(driver, await _look(kube, f"{DRIVERS}/{driver}"), None))
            found = await _look(kube, key_class_path(namespace))
            _require(doctor.key_class(SECRET_PROVIDER_CLASS, namespace, found))


def _require(finding: Finding) -> None:
    if finding.status is Status.FAILED:
        raise InfrastructureError(f"--secret-key: {finding.message}", hint=finding.fix)


def key_class_path(namespace: str) -> str:
    """Return the API's path to the class of a namespace that says where the key is."""
    classes = f"/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{namespace}/secretproviderclasses"
    return f"{classes}/{SECRET_PROVIDER_CLASS}"


async def _look(kube: Kube, path: str) -> KubeView | None:
    try:
        return await read_object(kube, path)
    except Unreadable:  # the pod itself will tell
        return {}


async def look_for_nodes(kube: Kube, spec: KubeView, warn: Callable[[str], None]) -> None:
    """Warn if no node has the labels that a Pod's spec asks for, as far as nodes may be listed.

    Raises:
        ApiError: the API server cannot be reached, or fails.

    """
    wanted = ",".join(f"{name}={value}" for name, value in spec["nodeSelector"].items())
    nodes = await read_list(kube, "/api/v1/nodes", labelSelector=wanted, limit="1")
    if nodes is not None and not nodes:
        warn(
            f"no node has {wanted} now; a pool that scales from zero may bring one, else add such a node,"
            " or let nodes that emulate it do the work, with --node-arch"
        )
