"""Every name, number and place that the parts of the cluster have to agree on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
"""The package's own folder: the Go modules and manifests lie beside the code."""

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
    "rclone",
)
"""Everything that is taken from Debian."""

HOST_ADDRESS = "10.203.0.1"
"""The host as pods and nodes see it; a test's own servers can listen here."""
NODE_NETWORK = "10.203.0.0/24"
CLUSTER_NETWORK = "10.203.0.0/16"
SERVICE_NETWORK = "10.204.0.0/24"
SERVICE_ADDRESS = "10.204.0.1"
"""The first address of SERVICE_NETWORK: what `kubernetes.default` always gets."""
BRIDGE = "dag0"
CHAIN = "DAG-CLUSTER"
"""The one iptables chain of each table that holds every rule of the cluster."""

REGISTRY = "127.0.0.1:5000"
"""By this name both the host and the nodes know the registry: they share the loopback device."""
API_PORT = 6443
ETCD_PORT = 23790
"""Its peers would be on the next port."""
KWOK_PORT = 10247
"""Where simulated nodes pretend to have their kubelets."""

CNI_PLUGINS = Path("/usr/lib/cni")
RUNTIME = Path("/run/dag-cluster")
"""Sockets: a path in the state directory could be longer than the 107 bytes they may have."""
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Node:
    """What tells one node from the other on the machine that they share."""

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
    """Where what was built is kept between runs, shared by all checkouts of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dag"


def state_directory() -> Path:
    """Where a running cluster keeps its disks, logs, pids and kubeconfigs; `down` removes it."""
    return Path(os.environ.get("DAG_CLUSTER_DIR") or cache_directory() / "cluster")
