"""Secrets in pods, which the kubelet mounts as it does with the Secrets Store CSI driver.

That driver and a cloud are not available here. A driver of our own has its name, and mounts files
that a test provides.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cluster import parts
from cluster.config import NODES, cache_directory
from cluster.node import Machinery
from cluster.process import Process
from cluster.system import locked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cluster.cluster import Cluster

DRIVERS = {node.name: Process(f"secrets-store-{node.name}") for node in NODES}

_GROUP = "secrets-store.csi.x-k8s.io"
_DRIVER = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "CSIDriver",
    "metadata": {"name": "secrets-store.csi.k8s.io"},
    "spec": {
        "attachRequired": False,
        "podInfoOnMount": True,
        "volumeLifecycleModes": ["Ephemeral"],
        "fsGroupPolicy": "None",
    },
}
_CRD = f"secretproviderclasses.{_GROUP}"
_CLASSES = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": _CRD},
    "spec": {
        "group": _GROUP,
        "scope": "Namespaced",
        "names": {
            "kind": "SecretProviderClass",
            "plural": "secretproviderclasses",
            "singular": "secretproviderclass",
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}
_MANIFEST = json.dumps({"apiVersion": "v1", "kind": "List", "items": [_DRIVER, _CLASSES]})


def up(cluster: Cluster) -> None:
    """Start the driver on every node, and add the kind SecretProviderClass to the API."""
    command = parts.build("secrets-store") / "secrets-store"
    with locked(cache_directory() / "secret-store.lock"):
        for node in map(Machinery, NODES):
            name, root = node.node.name, node.disk / "kubelet"
            socket = node.runtime / "secrets.sock"
            DRIVERS[name].start([command, name, root, socket, cluster.directory / "secrets"])
    cluster.run_kubectl("apply", "--filename=-", stdin=_MANIFEST)
    cluster.run_kubectl("wait", "--for=condition=Established", f"crd/{_CRD}")


def put(cluster: Cluster, namespace: str, name: str, files: Mapping[str, bytes]) -> None:
    """Make the SecretProviderClass `name`, whose volumes hold `files` by their names."""
    folder = cluster.directory / "secrets" / namespace / name
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    provider_class = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "SecretProviderClass",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"provider": "test", "parameters": {}},
    }
    cluster.run_kubectl("apply", "--filename=-", stdin=json.dumps(provider_class))


def down(cluster: Cluster) -> None:
    """Remove the driver from the nodes, and its kinds from the API. No pod may use it now."""
    for process in DRIVERS.values():
        process.kill()
    for node in map(Machinery, NODES):
        (node.disk / "kubelet" / "plugins_registry" / "secrets-store.sock").unlink(missing_ok=True)
    cluster.run_kubectl("delete", "--ignore-not-found", "--filename=-", stdin=_MANIFEST)
