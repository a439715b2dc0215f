"""The cluster as a whole: what comes up in which order, and what is left when it goes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import control, emulation, images, kwok, network, parts, secret_store
from cluster.config import (
    API_PORT,
    APT,
    ETCD_PORT,
    HOST_ADDRESS,
    NODES,
    PACKAGES,
    REGISTRY,
    RUNTIME,
    cache_directory,
    state_directory,
)
from cluster.credentials import Credentials
from cluster.node import Machinery, unmount_below
from cluster.process import Process
from cluster.system import ClusterError, locked, run, say, step, succeeds

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_OWNER = RUNTIME / "state-directory"
"""Tells which state directory belongs to the cluster that is up: bridges and ports are shared."""

# Places that the programs insist on, whatever their configuration says.
_FIXED_PLACES = (
    Path("/run/containerd"),
    Path("/var/lib/cni"),
    Path("/var/lib/kubelet"),
    Path("/var/log/containers"),
)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that is up. Take one with `current` or `up`; its paths do not change."""

    directory: Path
    kubeconfig: Path
    """Of a user who may do everything."""
    limited_kubeconfig: Path
    """Of a user who may do nothing at all."""
    kubectl: Path
    registry: str = REGISTRY
    """Host and port, plain http, the same name on the host and on the nodes."""
    host_address: str = HOST_ADDRESS
    """Where a server on the host is reachable for pods."""
    nodes: tuple[str, ...] = tuple(node.name for node in NODES)
    base_image: str = images.reference("base")
    sdk_image: str = images.reference("sdk")
    transfer_image: str = images.reference("transfer")

    @classmethod
    def current(cls) -> Cluster:
        """The cluster that is up; raises ClusterError when there is none."""
        if not _is_up():
            raise ClusterError("no cluster is up; start one with: python3 -m cluster up")
        return cls._described()

    @classmethod
    def up(cls) -> Cluster:
        """Start the cluster unless it is up, and wait till pods can run.

        Raises ClusterError with the words of the part that does not work.
        """
        with _lock():
            if _is_up():
                cluster = cls._described()
                for node in cluster.nodes:
                    cluster.start_node(node)
                cluster.wait_until_ready()
                return cluster
            _check_machine()
            _down()
            _check_ports()
            return _start()

    @classmethod
    def _described(cls) -> Cluster:
        credentials = Credentials(state_directory() / "credentials")
        return cls(
            directory=state_directory(),
            kubeconfig=credentials.kubeconfig("admin"),
            limited_kubeconfig=credentials.kubeconfig("limited"),
            kubectl=parts.build("kubernetes") / "kubectl",
        )

    def run_kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as administrator and return its standard output."""
        return run(self.kubectl, "--kubeconfig", self.kubeconfig, *arguments, stdin=stdin)

    def stop_node(self, name: str) -> None:
        """Make the kubelet of node `name` silent; its pods run on, as on a node that lost its net.

        The controllers take the node for lost 10 s later.
        """
        _machinery(name).kubelet.signal(signal.SIGSTOP)

    def start_node(self, name: str) -> None:
        """Let the kubelet of node `name` go on."""
        _machinery(name).kubelet.signal(signal.SIGCONT)

    def restart_apiserver(self, *, emulating: str | None = None) -> None:
        """Kill the API server and start it again: every watch breaks, and old versions are gone.

        `emulating` makes it one of an earlier version, like `1.32`; without it it is itself again.
        """
        control.API_SERVER.kill()
        credentials = Credentials(self.directory / "credentials")
        control.start_api_server(parts.build("kubernetes"), credentials, emulating)

    def restart_kubelet(self, name: str, **features: bool) -> None:
        """Start the kubelet of node `name` again, with features switched on or off.

        Without any it is as it was. Its pods run on.
        """
        machinery = _machinery(name)
        machinery.kubelet.kill()
        credentials = Credentials(self.directory / "credentials")
        machinery.start_kubelet(parts.build("kubernetes"), credentials, features)

    def wait_until_ready(self, seconds: float = 60) -> None:
        """Wait till all nodes are Ready and pods can be created in the default namespace."""
        deadline = time.monotonic() + seconds
        while True:
            missing = self._missing()
            if not missing:
                return
            if time.monotonic() > deadline:
                logs = self.directory / "logs"
                raise ClusterError(f"after {seconds:.0f} s: {missing}; logs are in {logs}")
            time.sleep(0.3)

    def _missing(self) -> str:
        listed = json.loads(self.run_kubectl("get", "nodes", "-o", "json"))["items"]
        ready = {
            node["metadata"]["name"]
            for node in listed
            for condition in node["status"].get("conditions", ())
            if condition["type"] == "Ready" and condition["status"] == "True"
        }
        late = [name for name in self.nodes if name not in ready]
        if late:
            return f"not ready: {', '.join(late)}"
        accounts = self.run_kubectl("get", "serviceaccounts", "-n", "default", "-o", "name")
        return "" if "serviceaccount/default" in accounts else "no default service account"


def down() -> None:
    """End the cluster and remove all traces of it but the cache. Nothing happens without one.

    Raises ClusterError when the cluster of another state directory is up, or without root.
    """
    with _lock():
        _check_machine()
        _down()


def install_packages() -> None:
    """Install with apt what is missing of the Debian packages that the cluster is made from."""
    if succeeds(APT, "--check", *PACKAGES):
        return
    with step("installing Debian packages"):
        had_registry = succeeds(APT, "--check", "docker-registry")
        run(APT, *PACKAGES)
        if not had_registry and Path("/run/systemd/system").exists():
            # Debian starts it at once, on the very port that the cluster's own needs.
            run("systemctl", "disable", "--now", "docker-registry")


def prepare() -> None:
    """Make everything that takes long and stays: Debian packages, parts, images."""
    install_packages()
    emulation.qemu("aarch64")
    for name in parts.PARTS:
        parts.build(name)
    for name in images.NAMES:
        images.build(name)


def processes() -> list[Process]:
    """All processes that a cluster which is up has, without those of its containers."""
    nodes = [Machinery(node) for node in NODES]
    return [
        *control.PROCESSES,
        *(process for node in nodes for process in (node.kubelet, node.containerd)),
    ]


def _lock() -> AbstractContextManager[None]:
    return locked(cache_directory() / "cluster.lock")


def _is_up() -> bool:
    return all(process.pid() is not None for process in processes())


def _machinery(name: str) -> Machinery:
    for node in NODES:
        if node.name == name:
            return Machinery(node)
    names = ", ".join(node.name for node in NODES)
    raise ClusterError(f"no node is called {name!r}; there are {names}")


def _check_machine() -> None:
    if os.geteuid():
        raise ClusterError("only root can mount disks and make bridges: run it as root")
    owner = _OWNER.read_text() if _OWNER.exists() else ""
    if owner not in ("", str(state_directory())):
        raise ClusterError(
            f"a cluster with DAG_CLUSTER_DIR={owner} is up, and there can be but one"
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
    emulation.down()
    network.down(state)
    record = state / "fixed-places.json"
    if record.exists():
        for place in map(Path, json.loads(record.read_text())):
            unmount_below(place)
            shutil.rmtree(place, ignore_errors=True)
    for place in (state, RUNTIME):
        shutil.rmtree(place, ignore_errors=True)
