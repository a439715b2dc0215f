"""Simulated nodes beside the real ones, for tests that need hundreds of nodes or pods.

Their pods run nothing; `kwok.yaml` says when and how these end.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cluster import parts
from cluster.config import HERE, HOST_ADDRESS, KWOK_PORT
from cluster.control import wait_for
from cluster.credentials import Credentials
from cluster.process import Process

if TYPE_CHECKING:
    from cluster.cluster import Cluster

KWOK = Process("kwok")
LABEL = "type=kwok"
TAINT = "kwok.x-k8s.io/node"
"""The taint of simulated nodes, so that only pods which tolerate it go there."""


def up(cluster: Cluster, count: int, architecture: str = "amd64") -> None:
    """Add `count` simulated nodes of an architecture, named kwok-ARCHITECTURE-NUMBER.

    Earlier simulated nodes stay. Raises ClusterError if kwok does not start.
    """
    _start(cluster)
    nodes = [_node(f"kwok-{architecture}-{number}", architecture) for number in range(count)]
    manifest = {"apiVersion": "v1", "kind": "List", "items": nodes}
    cluster.run_kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
    cluster.run_kubectl("wait", "--for=condition=Ready", "nodes", f"--selector={LABEL}")


def down(cluster: Cluster) -> None:
    """Remove all simulated nodes with their pods, and kwok itself."""
    KWOK.kill()
    for pod in json.loads(cluster.run_kubectl("get", "pods", "-A", "-o", "json"))["items"]:
        if pod["spec"].get("nodeName", "").startswith("kwok-"):
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            # kwok is gone, so nothing would confirm that the pod has ended.
            force = ("--force", "--grace-period=0", "--ignore-not-found")
            cluster.run_kubectl("delete", "pod", name, f"--namespace={namespace}", *force)
    cluster.run_kubectl("delete", "nodes", f"--selector={LABEL}")


def _start(cluster: Cluster) -> None:
    certificate = Credentials(cluster.directory / "credentials").api_certificate
    options = {
        "manageAllNodes": False,
        "manageNodesWithLabelSelector": LABEL,
        "cidr": "10.205.0.0/16",
        "nodeIP": HOST_ADDRESS,
        "nodePort": KWOK_PORT,
        "enableDebuggingHandlers": True,
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(certificate.with_suffix(".key")),
        # With the default of 4, pods end seconds late if many of them end at once. kwok refuses a
        # configuration that names one of these three and not the others.
        "podPlayStageParallelism": 32,
        "nodePlayStageParallelism": 4,
        "nodeLeaseParallelism": 4,
        "nodeLeaseDurationSeconds": 8,
    }
    config = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": options,
    }
    log = cluster.directory / "kwok-pods.log"
    log.write_text(f"{datetime.now(UTC).isoformat()} stdout F simulated\n")
    logs = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterLogs",
        "metadata": {"name": "all"},
        "spec": {"logs": [{"logsFile": str(log)}]},
    }
    path = cluster.directory / "kwok.json"
    path.write_text("\n---\n".join(json.dumps(document) for document in (config, logs)))
    KWOK.start(
        [
            parts.build("kwok") / "kwok",
            f"--kubeconfig={cluster.kubeconfig}",
            f"--config={path}",
            f"--config={HERE / 'kwok.yaml'}",
            f"--server-address={HOST_ADDRESS}:{KWOK_PORT}",
        ]
    )
    wait_for(f"http://{HOST_ADDRESS}:{KWOK_PORT}/healthz", KWOK)


def _node(name: str, architecture: str) -> dict[str, object]:
    size = {"cpu": "32", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "110"}
    labels = {
        "kubernetes.io/arch": architecture,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "type": "kwok",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [{"key": TAINT, "value": "simulated", "effect": "NoSchedule"}]},
        "status": {"allocatable": size, "capacity": size},
    }
