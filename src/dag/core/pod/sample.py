"""A Pod with all rights of a build, which nobody creates: an API server says whether it would."""

from __future__ import annotations

from dag.core.kube.objects import KubeObject, seal
from dag.core.pod.manifest import BUILD
from dag.core.pod.pieces import builder_fields, isolation_fields

NO_REQUESTS = {"cpu": "0", "memory": "0", "ephemeral-storage": "0"}
"""What it requests: so it fits on a full node, and within a quota that wants requests named."""


def sample_pod(namespace: str, service_account: str, image: str, *, confined: bool) -> KubeObject:
    """Return the manifest of a Pod with the one container for which policies may refuse a build."""
    container: KubeObject = {
        "name": BUILD,
        "image": image,
        "command": ["true"],
        "resources": {"requests": NO_REQUESTS},
        **builder_fields("/tmp", confined=confined),  # noqa: S108
    }
    return seal(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": "dag-",
                "namespace": namespace,
                "labels": {
                    "app.kubernetes.io/name": "dag",
                    "app.kubernetes.io/managed-by": "dag",
                },
            },
            "spec": {
                "restartPolicy": "Never",
                "serviceAccountName": service_account,
                "automountServiceAccountToken": False,
                **isolation_fields(confined=confined),
                "containers": [container],
            },
        }
    )
