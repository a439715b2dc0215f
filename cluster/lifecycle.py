"""The life of a cluster: the order in which its parts start, and their removal."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import control, emulation, images, kueue, kwok, network, parts, policies, secret_store
from cluster.cluster import Cluster, processes
from cluster.config import (
    API_PORT,
    BROWSER_PACKAGES,
    ETCD_PORT,
    NODES,
    PACKAGES,
    REGISTRY,
    RUNTIME,
    cache_directory,
    state_directory,
)
from cluster.credentials import Credentials
from cluster.debian import install
from cluster.node import Machinery, unmount_below
from cluster.system import ClusterError, locked, run, say, step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_OWNER = RUNTIME / "state-directory"
"""The file that names the state directory of the cluster that is up; there can be only one."""

# The programs use these directories, whatever their configuration says.
_FIXED_PLACES = (
    Path("/run/containerd"),
    Path("/var/lib/cni"),
    Path("/var/lib/kubelet"),
    Path("/var/log/containers"),
)


def prepare() -> None:
    """Install Debian packages and make parts and images, all of which takes long and is kept."""
    install_packages(*emulation.PACKAGES, *BROWSER_PACKAGES)
    for name in parts.PREPARED:
        parts.build(name)
    for name in images.NAMES:
        images.build(name)


def install_packages(*others: str) -> None:
    """Install the Debian packages that the cluster needs, and `others`, if they are missing."""
    installed = install(*PACKAGES, *others)
    if "docker-registry" in installed and Path("/run/systemd/system").exists():
        # Debian starts it at once, at the port that the registry of the cluster needs.
        run("systemctl", "disable", "--now", "docker-registry")


def up() -> Cluster:
    """Start the cluster if it is not up, wait until pods can run, and return it.

    Raises ClusterError with the message of the part that does not work.
    """
    with _lock():
        try:
            cluster = Cluster.current()
        except ClusterError:
            _check_machine()
            install_packages()
            _down()
            _check_ports()
            return _start()
        for node in cluster.nodes:
            cluster.start_node(node)
        cluster.wait_until_ready()
        return cluster


def down() -> None:
    """End the cluster and remove everything of it but the cache, if there is a cluster.

    Raises ClusterError if the cluster of another state directory is up, or without root.
    """
    with _lock():
        _check_machine()
        _down()


@contextlib.contextmanager
def reserved() -> Iterator[None]:
    """Reserve bridges and ports for a cluster in another root directory of this machine.

    While they are reserved no cluster can start here. Raises ClusterError if one is up here
    already.
    """
    with _lock():
        _check_machine()
        if any(process.pid() is not None for process in processes()):
            raise ClusterError(
                "a cluster is up, and there can be only one; end it with: python3 -m cluster down"
            )
        _check_ports()
        yield


def _lock() -> AbstractContextManager[None]:
    return locked(cache_directory() / "cluster.lock")


def _check_machine() -> None:
    if os.geteuid():
        raise ClusterError("only root can mount disks and make bridges: run it as root")
    owner = _OWNER.read_text() if _OWNER.exists() else ""
    if owner not in ("", str(state_directory())):
        raise ClusterError(
            f"a cluster with DAG_CLUSTER_DIR={owner} is up, and there can be only one"
        )


def _check_ports() -> None:
    host, registry_port = REGISTRY.split(":")
    for port in (int(registry_port), API_PORT, ETCD_PORT):
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                raise ClusterError(f"port {port} is needed, but another program listens there")


def _start() -> Cluster:
    install_packages()
    etcd, containerd, kubernetes = map(parts.build, ("etcd", "containerd", "kubernetes"))
    for name in images.NAMES:
        images.build(name)
    state = state_directory()
    state.mkdir(parents=True)
    RUNTIME.mkdir()
    _OWNER.write_text(str(state))
    fixed = [str(place) for place in _FIXED_PLACES if not place.exists()]
    (state / "fixed-places.json").write_text(json.dumps(fixed))
    credentials = Credentials(state / "credentials")
    credentials.make()
    with step("starting the control plane"):
        network.up(state)
        control.start_etcd(etcd)
        control.start_api_server(kubernetes, credentials)
        control.start_controllers(kubernetes, credentials)
    with step("filling the registry"):
        control.start_registry()
        for name in images.NAMES:
            images.push(name)
    with step("starting the nodes"):
        for node in map(Machinery, NODES):
            node.start_containerd(containerd)
            node.start_kubelet(kubernetes, credentials)
        cluster = Cluster.current()
        cluster.wait_until_ready()
    say(f"ready: export KUBECONFIG={cluster.kubeconfig}")
    return cluster


def _down() -> None:
    state = state_directory()
    for node in map(Machinery, NODES):
        node.stop()
    for process in (kwok.KWOK, *secret_store.DRIVERS.values(), *control.PROCESSES):
        process.kill()
    kueue.stop()
    policies.down()
    emulation.down()
    network.down(state)
    record = state / "fixed-places.json"
    if record.exists():
        for place in map(Path, json.loads(record.read_text())):
            unmount_below(place)
            shutil.rmtree(place, ignore_errors=True)
    for place in (state, RUNTIME):
        shutil.rmtree(place, ignore_errors=True)
