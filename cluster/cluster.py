"""A cluster that is up, and what can be done to it. `lifecycle` starts and ends one."""

from __future__ import annotations

import json
import secrets
import signal
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster import control, images, parts
from cluster.config import HOST_ADDRESS, NODES, REGISTRY, state_directory
from cluster.credentials import Credentials
from cluster.node import Machinery
from cluster.system import ClusterError, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cluster.process import Process

_READY = 120.0
"""Seconds in which all nodes must be ready, and have run a pod."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that is up, as `current` and `lifecycle.up` return it; its paths do not change."""

    directory: Path
    kubeconfig: Path
    """The kubeconfig of a user who may do everything."""
    limited_kubeconfig: Path
    """The kubeconfig of a user who may do nothing."""
    kubectl: Path
    registry: str = REGISTRY
    """The host and the port, by which the host and the nodes reach it; it speaks plain HTTP."""
    host_address: str = HOST_ADDRESS
    """The address at which pods reach a server on the host."""
    nodes: tuple[str, ...] = tuple(node.name for node in NODES)
    base_image: str = images.reference("base")
    sdk_image: str = images.reference("sdk")

    @classmethod
    def current(cls) -> Cluster:
        """Return the cluster that is up. Raises ClusterError if none is up."""
        if any(process.pid() is None for process in processes()):
            raise ClusterError("no cluster is up; start one with: python3 -m cluster up")
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
        """Make the kubelet of node `name` silent, as if the node had lost its network.

        Its pods run on. The controllers consider the node lost 10 s later.
        """
        _machinery(name).kubelet.signal(signal.SIGSTOP)

    def start_node(self, name: str) -> None:
        """Make the kubelet of node `name` work again."""
        _machinery(name).kubelet.signal(signal.SIGCONT)

    def restart_apiserver(self, *, emulating: str | None = None, compacting: bool = False) -> None:
        """Kill the API server and start it again: all watches break, and it forgets old versions.

        `emulating` makes the server behave like an earlier version, such as `1.32`; without it, the
        server behaves like its own version again. With `compacting` etcd forgets old versions, too.
        """
        control.API_SERVER.kill()
        if compacting:
            control.compact_etcd()
        credentials = Credentials(self.directory / "credentials")
        control.start_api_server(parts.build("kubernetes"), credentials, emulating)

    def restart_kubelet(self, name: str, **features: bool) -> None:
        """Start the kubelet of node `name` again, with features switched on or off.

        Without features it has the defaults again. Its pods run on.
        """
        machinery = _machinery(name)
        machinery.kubelet.kill()
        credentials = Credentials(self.directory / "credentials")
        machinery.start_kubelet(parts.build("kubernetes"), credentials, features)

    def wait_until_ready(self) -> None:
        """Wait until all nodes are Ready, and until a pod has run to its end on each.

        After a restart of the API server, what it says of nodes is old news: scheduler, controllers
        and kubelets try to reach it again after pauses of up to a minute.
        """
        deadline = time.monotonic() + _READY
        self._await_nothing(self._missing, deadline)
        label = f"trial={secrets.token_hex(4)}"
        trials = [_trial(name, label) for name in self.nodes]
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": trials})
        self.run_kubectl("create", "--filename=-", stdin=listed)
        try:
            self._await_nothing(lambda: self._untried(label), deadline)
        finally:
            self.run_kubectl("delete", "pods", f"--selector={label}", *_IN_DEFAULT, "--wait=false")

    def _await_nothing(self, missing: Callable[[], str], deadline: float) -> None:
        """Wait until `missing` has no words any more for what is missing."""
        began = time.monotonic()
        while words := missing():
            if time.monotonic() > deadline:
                logs = self.directory / "logs"
                said = "".join(f"\n{name}: {_last_error(name)}" for name in self.nodes)
                waited = time.monotonic() - began
                raise ClusterError(f"after {waited:.0f} s: {words}; logs are in {logs}{said}")
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
        accounts = self.run_kubectl("get", "serviceaccounts", *_IN_DEFAULT, "-o", "name")
        return "" if "serviceaccount/default" in accounts else "no default service account"

    def _untried(self, label: str) -> str:
        query = ("get", "pods", f"--selector={label}", *_IN_DEFAULT, "-o", "json")
        pods = json.loads(self.run_kubectl(*query))["items"]
        late = [
            f"{pod['metadata']['name']} is {pod['status']['phase']}"
            for pod in pods
            if pod["status"]["phase"] != "Succeeded"
        ]
        return f"a pod does not run to its end on each node: {', '.join(late)}" if late else ""


_IN_DEFAULT = ("--namespace", "default")


def _trial(node: str, label: str) -> dict[str, object]:
    """Describe a pod that ends at once on `node`, to which the scheduler has to bring it."""
    key, _, value = label.partition("=")
    container = {"name": "trial", "image": images.reference("base"), "command": ["true"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"trial-{value}-{node}",
            "namespace": "default",
            "labels": {key: value},
        },
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": {"kubernetes.io/hostname": node},
            "containers": [container],
        },
    }


def _last_error(name: str) -> str:
    """Return what a node's kubelet has told last of what it cannot do: logs may be gone with a machine."""
    with _machinery(name).kubelet.log.open(errors="replace") as log:
        errors = deque((line for line in log if line.startswith("E")), maxlen=1)
    return errors[0].strip()[:1000] if errors else "its kubelet tells of no error"


def processes() -> list[Process]:
    """Return the processes of a cluster, without those of its containers."""
    nodes = [Machinery(node) for node in NODES]
    return [
        *control.PROCESSES,
        *(process for node in nodes for process in (node.kubelet, node.containerd)),
    ]


def _machinery(name: str) -> Machinery:
    for node in NODES:
        if node.name == name:
            return Machinery(node)
    names = ", ".join(node.name for node in NODES)
    raise ClusterError(f"no node is called {name!r}; there are {names}")
