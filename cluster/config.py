"""The names, numbers and places that the parts of the cluster have to agree on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
"""The directory of this package, which also has the Go modules and manifests."""

PACKAGES = (
    "bubblewrap",
    "busybox-static",
    "ca-certificates",
    "conntrack",
    "containernetworking-plugins",
    "debootstrap",
    "docker-registry",
    "e2fsprogs",
    "ethtool",
    "gcc",
    "iproute2",
    "iptables",
    "libc6-dev",
    "libseccomp-dev",
    "mount",
    "openssl",
    "pkg-config",
)
"""The Debian packages that the cluster needs."""

BROWSER_PACKAGES = ("chromium",)
"""The Debian packages of the browser in which the tests look at pages."""

HOST_ADDRESS = "10.203.0.1"
"""The address of the host for pods and nodes. The servers of a test can listen here."""
NODE_NETWORK = "10.203.0.0/24"
CLUSTER_NETWORK = "10.203.0.0/16"
SERVICE_NETWORK = "10.204.0.0/24"
SERVICE_ADDRESS = "10.204.0.1"
"""The first address of SERVICE_NETWORK, which `kubernetes.default` always gets."""
BRIDGE = "dag0"
CHAIN = "DAG-CLUSTER"
"""The beginning of the names of the iptables chains that hold every rule of the cluster."""

REGISTRY = "127.0.0.1:5000"
"""The name by which the host and the nodes know the registry; they share the loopback device."""
API_PORT = 6443
ETCD_PORT = 23790
"""The port of etcd. The next port is the one for its peers."""
KWOK_PORT = 10247
"""The port at which simulated nodes pretend to have their kubelets."""
KUEUE_PORT = 10261
"""The port at which the API server asks Kueue about Jobs. The next port tells whether Kueue works."""
POLICIES_PORT = 10263
"""The port that tells whether NetworkPolicies are enforced."""

CNI_PLUGINS = Path("/usr/lib/cni")
RUNTIME = Path("/run/dag-cluster")
"""The directory for sockets. A path in the state directory may exceed the 107 bytes of a socket's."""
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Node:
    """The settings that distinguish a node from the other one on the same machine."""

    name: str
    address: str
    network: str
    bridge: str
    healthz_port: int


NODES = (
    Node(
        name="node-a",
        address="10.203.0.11",
        network="10.203.1.0/24",
        bridge="dag1",
        healthz_port=10248,
    ),
    Node(
        name="node-b",
        address="10.203.0.12",
        network="10.203.2.0/24",
        bridge="dag2",
        healthz_port=10249,
    ),
)


def cache_directory() -> Path:
    """Return the directory in which builds are kept; all checkouts of this user share it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dag"


def state_directory() -> Path:
    """Return the directory of a cluster's disks, logs, pids and kubeconfigs; `down` removes it."""
    return Path(os.environ.get("DAG_CLUSTER_DIR") or cache_directory() / "cluster")
