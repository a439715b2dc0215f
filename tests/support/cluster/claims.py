"""A volume claim that both nodes mount, and what lies there as this machine sees it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.cluster.running import Dag


@contextmanager
def shared_claim(dag: Dag, name: str = "store") -> Iterator[Path]:
    """Make a claim in the namespace of `dag`, and return the directory that it is."""
    # The disk of a node has a file system that can be mounted with other ids, as a node's own has.
    place = dag.cluster.directory / dag.cluster.nodes[0] / "disk" / f"{dag.namespace}-{name}"
    place.mkdir()
    place.chmod(0o777)
    volume = f"{dag.namespace}-{name}"
    size = {"storage": "1Gi"}
    objects = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                "capacity": size,
                "accessModes": ["ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "hostPath": {"path": str(place), "type": "Directory"},
                "claimRef": {"namespace": dag.namespace, "name": name},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": dag.namespace},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": "",
                "volumeName": volume,
                "resources": {"requests": size},
            },
        },
    ]
    for one in objects:
        dag.kubectl("create", "-f", "-", stdin=json.dumps(one))
    try:
        yield place
    finally:
        dag.kubectl("delete", "persistentvolume", volume, "--wait=false")
        shutil.rmtree(place, ignore_errors=True)
