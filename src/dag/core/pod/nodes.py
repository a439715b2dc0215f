"""Tells which nodes take a Pod, by the scheduler's rules that do not depend on sizes.

https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
"""

from __future__ import annotations

from dag.core.kube.objects import KubeView


def obstacle(spec: KubeView, node: KubeView) -> str | None:
    """Return what keeps a Pod from a node, its size aside, or None if nothing does."""
    labels = node["metadata"].get("labels") or {}
    for name, value in spec["nodeSelector"].items():
        if labels.get(name) != value:
            return f"{name} is {labels.get(name)}"
    if node["spec"].get("unschedulable"):
        return "cordoned"
    conditions = node.get("status", {}).get("conditions") or ()
    if not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
        return "not ready"
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not any(
            _tolerates(one, taint) for one in spec.get("tolerations") or ()
        ):
            return f"tainted {taint['key']}"
    return None


def _tolerates(toleration: KubeView, taint: KubeView) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return bool(
        toleration.get("key") == taint["key"]
        and toleration.get("value", "") == taint.get("value", "")
    )
