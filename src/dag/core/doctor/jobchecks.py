"""Judges facts about a cluster for a build as Jobs: its version, the store, the queue, the room."""

from __future__ import annotations

import re

from dag.core.build.events import ComputeResources
from dag.core.build.resources import in_words
from dag.core.doctor.checks import Finding, Status, ok, version_name
from dag.core.jobs.capacity import NO_ROOM, ClusterCapacity
from dag.core.jobs.claims import Claim
from dag.core.jobs.driver import DRIVER_ACCOUNT
from dag.core.kube.objects import KubeView

_SHARED = "ReadWriteMany"
_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
"""The annotation in which Kubernetes says who makes the volume of a claim."""
# NFS and SMB have none: https://man7.org/linux/man-pages/man2/mount_setattr.2.html. These are the
# names of the drivers of Amazon EFS, Google Filestore and Azure Files, of Kubernetes' own for NFS and
# SMB, of Longhorn, which shares its volumes by NFS, and of the older makers of NFS volumes.
_NO_ID_MAPS = re.compile(
    r"nfs|^(?:efs\.csi\.aws\.com|driver\.longhorn\.io|filestore\.csi\.storage\.gke\.io|(?:file\.csi\.azure|smb\.csi\.k8s)\..*)$"
)
_USER_NAMESPACES = 33
"""The first minor version of Kubernetes 1 in which pods get user namespaces if they ask for them."""


def wrong_request(message: str, fix: str) -> Finding:
    """Return the finding that what was asked for is wrong."""
    return Finding(Status.FAILED, message, fix, usage=True)


def user_namespaces(version: KubeView) -> Finding:
    """Judge whether an API server gives Pods user namespaces, from its answer to /version."""
    major = str(version.get("emulationMajor") or version.get("major", ""))
    minor = re.match(r"\d+", str(version.get("emulationMinor") or version.get("minor", "")))
    if major == "1" and minor and int(minor[0]) < _USER_NAMESPACES:
        return Finding(
            Status.FAILED,
            f"{version_name(version)} gives pods no user namespaces unless somebody has switched that"
            " on",
            "build with --isolation privileged, or on Kubernetes 1.33 or later",
        )
    return ok(f"{version_name(version)} gives them to pods that ask; nodes must do so, too")


def driver_account(namespace: str, found: KubeView | None) -> Finding:
    """Judge the service account of the Job that drives a detached build."""
    if found is None:
        return Finding(
            Status.FAILED,
            f"there is no service account {DRIVER_ACCOUNT} in namespace {namespace}, as which"
            " `dag build --detach` has a Job drive a build",
            f"dag setup cluster -n {namespace}",
        )
    return ok(f"{DRIVER_ACCOUNT} exists, so builds can be detached")


def claim(store: Claim, namespace: str, found: KubeView | None, *, confined: bool) -> Finding:
    """Judge whether a volume claim is there and can be mounted on several nodes at once.

    `confined` is whether the pods have user namespaces.
    """
    where = f"volume claim {store.name} in namespace {namespace}"
    if found is None:
        return wrong_request(
            f"there is no {where}",
            f"`kubectl get persistentvolumeclaims -n {namespace}` lists the claims; one of the"
            f" access mode {_SHARED} is wanted",
        )
    modes = found.get("spec", {}).get("accessModes", ())
    if _SHARED not in modes:
        return wrong_request(
            f"the {where} cannot be mounted on several nodes at once: its access modes are"
            f" {', '.join(map(str, modes)) or 'none'}",
            f"make one of the access mode {_SHARED}; unless --isolation is privileged, its file system"
            " must support ID-mapped mounts, which NFS does not",
        )
    maker = str(found["metadata"].get("annotations", {}).get(_PROVISIONER, ""))
    if confined and _NO_ID_MAPS.search(maker):
        return wrong_request(
            f"the {where} is on storage of {maker}, which has no ID-mapped mounts, as pods with user"
            " namespaces need them",
            "name a claim on another file system such as CephFS, keep the store in a bucket, or build"
            " with --isolation privileged",
        )
    if found.get("status", {}).get("phase") == "Lost":
        return wrong_request(f"the {where} has lost its volume", "make another claim")
    return ok(f"{store.name} can be mounted on several nodes at once")


def queue(name: str, namespace: str, found: KubeView | None) -> Finding:
    """Judge the queue of --queue: without it, Jobs would wait for ever."""
    if found is None:
        return wrong_request(
            f"namespace {namespace} has no queue {name} of Kueue",
            f"`kubectl get localqueues -n {namespace}` lists the queues",
        )
    conditions = found.get("status", {}).get("conditions", ())
    active: KubeView = next((one for one in conditions if one.get("type") == "Active"), {})
    if active.get("status") == "False":
        return Finding(
            Status.WARNING,
            f"the queue {name} lets nothing go now: {active.get('message', '')}",
            f"kubectl describe localqueue {name} -n {namespace}",
        )
    return ok(f"{name} is there")


def room(capacity: ClusterCapacity, unit: ComputeResources, name: str) -> Finding:
    """Judge whether some node has room for the unit of a package."""
    asked = in_words(unit)
    if not capacity.nodes:
        return Finding(
            Status.WARNING,
            "no node takes such pods now, or nodes may not be listed, so it is not known whether one"
            f" has room for {name}, which asks for {asked}",
            "a pool may bring nodes; --node-selector and --toleration say which ones take the pods",
        )
    if not capacity.has_room(unit):
        return Finding(
            Status.WARNING,
            f"no node has room now for {name}, which asks for {asked}",
            NO_ROOM,
        )
    return ok(f"there is room for {capacity.jobs(unit)} units like {name} at once: {asked}")
