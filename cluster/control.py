"""The control plane: etcd, API server, controller manager and scheduler, and the registry."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from cluster.config import (
    API_PORT,
    ETCD_PORT,
    HOST_ADDRESS,
    REGISTRY,
    SERVICE_NETWORK,
    state_directory,
)
from cluster.process import Process
from cluster.system import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.credentials import Credentials

ETCD = Process("etcd")
API_SERVER = Process("kube-apiserver")
CONTROLLERS = Process("kube-controller-manager")
SCHEDULER = Process("kube-scheduler")
REGISTRY_SERVER = Process("registry")
_PATIENCE = 60.0
"""Seconds for which a part that was started is waited for until it answers."""
PROCESSES = (SCHEDULER, CONTROLLERS, API_SERVER, ETCD, REGISTRY_SERVER)


def start_registry() -> None:
    """Start the registry. It keeps images in the state directory and listens on loopback only."""
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(state_directory() / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": REGISTRY},
    }
    path = state_directory() / "registry.json"
    path.write_text(json.dumps(config))
    REGISTRY_SERVER.start(["docker-registry", "serve", path])
    wait_for(f"http://{REGISTRY}/v2/", REGISTRY_SERVER)


def start_etcd(etcd: Path) -> None:
    """Start the store of the API server. Its content need not survive a crash of the machine."""
    client, peer = (f"http://127.0.0.1:{port}" for port in (ETCD_PORT, ETCD_PORT + 1))
    ETCD.start(
        [
            etcd / "etcd",
            "--unsafe-no-fsync",
            f"--data-dir={state_directory() / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
        ]
    )
    wait_for(f"{client}/readyz", ETCD)


def compact_etcd() -> None:
    """Make etcd forget all versions but the present ones, as it does by itself in time."""
    store = f"http://127.0.0.1:{ETCD_PORT}/v3/kv"
    revision = _ask_etcd(f"{store}/range", {"key": "AA=="})["header"]["revision"]
    _ask_etcd(f"{store}/compaction", {"revision": revision, "physical": True})


def _ask_etcd(url: str, question: dict[str, object]) -> dict[str, Any]:
    with urllib.request.urlopen(url, json.dumps(question).encode()) as answer:
        said: dict[str, Any] = json.load(answer)
        return said


def start_api_server(
    kubernetes: Path, credentials: Credentials, emulating: str | None = None
) -> None:
    """Start the API server and wait until it says that it is ready.

    `emulating` is an earlier version; the server then behaves like that one.
    """
    API_SERVER.start(
        [
            kubernetes / "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{ETCD_PORT}",
            f"--secure-port={API_PORT}",
            f"--advertise-address={HOST_ADDRESS}",
            f"--tls-cert-file={credentials.api_certificate}",
            f"--tls-private-key-file={credentials.api_certificate.with_suffix('.key')}",
            f"--kubelet-client-certificate={credentials.client_certificate}",
            f"--kubelet-client-key={credentials.client_certificate.with_suffix('.key')}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--token-auth-file={credentials.tokens}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={credentials.service_accounts}",
            f"--service-account-signing-key-file={credentials.service_accounts}",
            # Pods leave a lost node soon, so that a test does not wait five minutes.
            "--default-not-ready-toleration-seconds=5",
            "--default-unreachable-toleration-seconds=5",
            *([f"--emulated-version={emulating}"] if emulating else []),
        ]
    )
    wait_for(f"https://127.0.0.1:{API_PORT}/readyz", API_SERVER, credentials.api_certificate)


def start_controllers(kubernetes: Path, credentials: Credentials) -> None:
    """Start the controller manager, and the scheduler, which gives pods their nodes."""
    kubeconfig = f"--kubeconfig={credentials.kubeconfig('admin')}"
    CONTROLLERS.start(
        [
            kubernetes / "kube-controller-manager",
            kubeconfig,
            # The configuration of each node fixes its network.
            "--controllers=*,-nodeipam",
            f"--root-ca-file={credentials.api_certificate}",
            f"--service-account-private-key-file={credentials.service_accounts}",
            "--leader-elect=false",
            # A lost node is noticed after 10 s instead of 40 s.
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=10s",
            "--bind-address=127.0.0.1",
        ]
    )
    SCHEDULER.start(
        [
            kubernetes / "kube-scheduler",
            kubeconfig,
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ]
    )


def wait_for(url: str, process: Process, authority: Path | None = None) -> None:
    """Wait until `url` answers with success.

    Raises ClusterError, with the end of the log of `process`, if that ends before or is too slow.
    """
    trust = ssl.create_default_context(cafile=authority) if authority else None
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.pid() is not None:
        try:
            with urllib.request.urlopen(url, timeout=2, context=trust):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    state = "does not answer" if process.pid() else "ended"
    raise ClusterError(f"{process.name} {state}; the end of {process.log}:\n{process.last_words()}")
