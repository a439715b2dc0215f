"""Volume claims that both nodes mount at once: each is a directory of this machine."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.cluster import Cluster


def claim_directory(cluster: Cluster, namespace: str, name: str) -> Path:
    """Return the directory that a claim is, whether it is there or not."""
    # The disk of a node has a file system that can be mounted with other ids, as a node's own has.
    return cluster.directory / cluster.nodes[0] / "disk" / _volume(namespace, name)


def make_claim(
    cluster: Cluster, namespace: str, name: str, *, directory: Path | None = None
) -> Path:
    """Make a claim to which everybody may write, and return its directory.

    With `directory` it is that one, which another claim may be, too. It waits until one with this
    name that was removed is gone, and until this one is bound. Raises ClusterError if either takes
    longer than a minute, the former because pods still use it.
    """
    place = directory or claim_directory(cluster, namespace, name)
    volume = _volume(namespace, name)
    former = (f"persistentvolumeclaim/{name}", f"persistentvolume/{volume}")
    cluster.run_kubectl("wait", "--for=delete", "--timeout=60s", "-n", namespace, *former)
    place.mkdir(exist_ok=True)
    place.chmod(0o777)
    size = {"storage": "1Gi"}
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    objects = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                **shared,
                "capacity": size,
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": str(place), "type": "Directory"},
                "claimRef": {"namespace": namespace, "name": name},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {**shared, "volumeName": volume, "resources": {"requests": size}},
        },
    ]
    for one in objects:
        cluster.run_kubectl("create", "-f", "-", stdin=json.dumps(one))
    # A scheduler that is asked before knows nothing of the volume, and looks again only later.
    bound = ("--for=jsonpath={.status.phase}=Bound", "--timeout=60s", "-n", namespace)
    cluster.run_kubectl("wait", *bound, f"persistentvolumeclaim/{name}")
    return place


def remove_claim(cluster: Cluster, namespace: str, name: str) -> None:
    """Remove a claim with all that is on it, as far as it is there."""
    gone = ("--ignore-not-found", "--wait=false")
    cluster.run_kubectl("delete", "-n", namespace, "persistentvolumeclaim", name, *gone)
    cluster.run_kubectl("delete", "persistentvolume", _volume(namespace, name), *gone)
    shutil.rmtree(claim_directory(cluster, namespace, name), ignore_errors=True)


def _volume(namespace: str, name: str) -> str:
    return f"{namespace}-{name}"
