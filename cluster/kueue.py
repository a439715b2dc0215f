"""Kueue, which lets Jobs go in their turn: the real one, for namespaces with a label alone.

It is no part of a cluster that is just up, because its kinds would be there for all tests.
"""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import parts
from cluster.config import KUEUE_PORT
from cluster.control import wait_for
from cluster.process import Process
from cluster.system import run

if TYPE_CHECKING:
    from cluster.cluster import Cluster

KUEUE = Process("kueue")
LABEL = "dag.test/kueue"
"""The label, with the value `true`, of namespaces whose Jobs Kueue looks at."""
PLACE = Path("/etc/kueue")
"""Where Kueue looks for the certificate of its metrics, whatever its configuration says."""
_NAMESPACE = "kueue-system"
_CHOSEN = {"matchLabels": {LABEL: "true"}}


def up(cluster: Cluster) -> None:
    """Add Kueue's kinds to the API, and start it. Raises ClusterError if it does not start."""
    commands = parts.build("kueue")
    certificate = _make_certificate(cluster.directory / "kueue")
    kinds = commands.parent / "share" / "kueue"
    # They are too long for the annotation with which `apply` would remember them.
    cluster.run_kubectl("apply", "--server-side", f"--filename={kinds}")
    cluster.run_kubectl("wait", "--for=condition=Established", f"--filename={kinds}")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
    cluster.run_kubectl("apply", "--filename=-", stdin=json.dumps(namespace))
    config = certificate.with_name("config.json")
    config.write_text(json.dumps(_configuration(certificate.parent)))
    KUEUE.start(
        [
            commands / "kueue",
            f"--config={config}",
            f"--kubeconfig={cluster.kubeconfig}",
            # It would ask for a port and a certificate of its own.
            "--feature-gates=VisibilityOnDemand=false",
        ]
    )
    wait_for(f"http://127.0.0.1:{KUEUE_PORT + 1}/readyz", KUEUE)
    # Not before: who is asked and does not answer lets no Job be made.
    cluster.run_kubectl("apply", "--filename=-", stdin=json.dumps(_webhooks(certificate)))


def down(cluster: Cluster) -> None:
    """Remove all queues and Kueue's kinds from the API, and end it."""
    gone = ("--ignore-not-found", "--timeout=60s")
    hooks = [f"{kind}webhookconfiguration/kueue" for kind in ("mutating", "validating")]
    cluster.run_kubectl("delete", *gone, *hooks)
    listed = cluster.run_kubectl("get", "crds", "-o", "name").split()
    kinds = [one for one in listed if one.endswith(".kueue.x-k8s.io")]
    # As long as Kueue runs it takes its finalizers back; those of queues, when nothing is in them.
    for one in sorted(kinds, key=lambda kind: "/workloads." not in kind):
        cluster.run_kubectl("delete", "--all", "-A", *gone, one.rpartition("/")[2])
    if kinds:
        cluster.run_kubectl("delete", *gone, *kinds)
    stop()
    cluster.run_kubectl("delete", "namespace", _NAMESPACE, *gone)


def stop() -> None:
    """End Kueue and remove what it needed of the machine; what it has in the API stays."""
    KUEUE.kill()
    shutil.rmtree(PLACE, ignore_errors=True)


def _make_certificate(place: Path) -> Path:
    """Make the certificate of Kueue's servers, where it looks for it, and return its path."""
    metrics = PLACE / "metrics" / "certs"
    certificate = place / "tls.crt"
    for folder in (place, metrics):
        folder.mkdir(parents=True, exist_ok=True)
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=kueue", "-addext", "subjectAltName=IP:127.0.0.1"]
    files: list[str | Path] = ["-keyout", certificate.with_suffix(".key"), "-out", certificate]
    run("openssl", "req", *kind, "-days", "365", *names, *files)
    for file in (certificate, certificate.with_suffix(".key")):
        shutil.copy(file, metrics)
    return certificate


def _configuration(certificates: Path) -> dict[str, object]:
    """Return Kueue's configuration: for Jobs alone, and only for those that name a queue."""
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": _NAMESPACE,
        "health": {"healthProbeBindAddress": f"127.0.0.1:{KUEUE_PORT + 1}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": KUEUE_PORT, "certDir": str(certificates)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "managedJobsNamespaceSelector": _CHOSEN,
        "integrations": {"frameworks": ["batch/job"]},
    }


def _webhooks(certificate: Path) -> dict[str, object]:
    """Return what has the API server ask Kueue about Jobs, as an installation of Kueue does."""
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            _webhook("Mutating", "mutate", ["CREATE"], certificate),
            _webhook("Validating", "validate", ["CREATE", "UPDATE"], certificate),
        ],
    }


def _webhook(kind: str, path: str, operations: list[str], certificate: Path) -> dict[str, object]:
    url = f"https://127.0.0.1:{KUEUE_PORT}/{path}-batch-v1-job"
    authority = base64.b64encode(certificate.read_bytes()).decode()
    jobs = {"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": "kueue"},
        "webhooks": [
            {
                "name": f"{path[0]}job.kb.io",
                "clientConfig": {"url": url, "caBundle": authority},
                "rules": [{**jobs, "operations": operations}],
                "namespaceSelector": _CHOSEN,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
