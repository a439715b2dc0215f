"""What `Tolerate` changes of a DaemonSet, and how that is taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dag.core.kube.objects import KubeObject
from dag.core.setup.steps import OWNER, TOLERATED


def tolerations(daemonset: Mapping[str, Any]) -> list[KubeObject]:
    """Return the tolerations of a DaemonSet's pods."""
    return list(daemonset["spec"]["template"]["spec"].get("tolerations", ()))


def tolerates(daemonset: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether the pods of a DaemonSet tolerate a taint already.

    https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    """
    return any(
        item.get("key") in (None, wanted["key"])
        and item.get("effect") in (None, "", wanted["effect"])
        and (item.get("operator") == "Exists" or item.get("value") == wanted["value"])
        for item in tolerations(daemonset)
    )


def patch_adding_toleration(daemonset: Mapping[str, Any], wanted: KubeObject) -> list[KubeObject]:
    """Return the JSON patch that adds a toleration and our label to a DaemonSet."""
    labels = {**daemonset["metadata"].get("labels", {}), TOLERATED: OWNER}
    return _patch(daemonset, labels, [*tolerations(daemonset), wanted])


def patch_removing_toleration(
    daemonset: Mapping[str, Any], ours: KubeObject
) -> list[KubeObject] | None:
    """Return the JSON patch that removes both again, or None if they are not from us."""
    labels = dict(daemonset["metadata"].get("labels", {}))
    if labels.pop(TOLERATED, None) is None:
        return None
    return _patch(daemonset, labels, [item for item in tolerations(daemonset) if item != ours])


def _patch(
    daemonset: Mapping[str, Any], labels: Mapping[str, str], wanted: Sequence[KubeObject]
) -> list[KubeObject]:
    version = daemonset["metadata"]["resourceVersion"]
    return [
        # The server refuses the patch if somebody has changed the object since it was read.
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/metadata/labels", "value": dict(labels)},
        {"op": "add", "path": "/spec/template/spec/tolerations", "value": list(wanted)},
    ]
