"""Makes the Pod that a manifest describes, exactly once, and finds it by what it is labelled with."""

from __future__ import annotations

from dag.core.kube.objects import KubeObject
from dag.io.kube.api import Kube

_OWN_LABELS = "dag/"


def pods_path(pod: KubeObject) -> str:
    """Return the API's path to the pods of the namespace that a Pod or a manifest names."""
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"


def selector(manifest: KubeObject) -> str:
    """Return the label selector that finds the very Pod that was made from this manifest."""
    labels = manifest["metadata"]["labels"].items()
    return ",".join(f"{name}={value}" for name, value in labels if name.startswith(_OWN_LABELS))


async def create_pod(kube: Kube, manifest: KubeObject) -> KubeObject:
    """Create the Pod that `manifest` describes, exactly once, and return it.

    Raises:
        ApiError: the API server refused it.

    """
    return await kube.create(pods_path(manifest), manifest, label=selector(manifest))


async def find_pod(kube: Kube, manifest: KubeObject, *, patience: float) -> KubeObject | None:
    """Return the Pod that was made from `manifest`, or None if there is none.

    Raises:
        ApiError: the API server cannot be reached for `patience` seconds, or refuses, or what looks
            like that Pod is a stranger's.

    """
    label = selector(manifest)
    return await kube.find_made(pods_path(manifest), manifest, label=label, patience=patience)
