"""The steps of `dag setup`, as data: what each is for, what it does, how one sees that it is done.

`dag.run.setup.steps` executes them, `dag.report.setup` writes them as a shell script that does the same.
Every step passes over what is there, so whatever breaks off is gone on with by running it again.
Undoing takes away what `dag` has made, and nothing that was there before: objects of Kubernetes
carry the label `app.kubernetes.io/managed-by=dag`, those of clouds a mark of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dag.core.kube.objects import KubeObject
from dag.errors import UsageError

Words = tuple[str, ...]

OWNER_LABEL = "app.kubernetes.io/managed-by"
OWNER = "dag"
MANAGER = "dag"
"""Field manager of objects that are ours. https://kubernetes.io/docs/reference/using-api/server-side-apply/"""
GUEST = "dag-setup"
"""Field manager of what we add to somebody else's object: one manager's fields come and go at once."""


TOLERATED = "dag/tolerates"
"""Label of a DaemonSet that `Tolerate` has changed."""


@dataclass(frozen=True, slots=True)
class Says:
    """A question to a program: yes if one line of what it prints is `line`."""

    line: str
    argv: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Run a program, unless `done` says that it need not."""

    title: str
    argv: Words
    stdin: str = ""
    done: Says | None = None
    undo: Words = ()
    ours: Says | None = None
    """Undo it only if this says that `dag` has made it."""
    patience: float = 0.0
    """Seconds for what it names to be known: clouds are eventually consistent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Get credentials for a cluster; what follows is in that cluster, and gone if `there` says no."""

    title: str
    argv: Words
    there: Says


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensure:
    """Have an object of our own; one of that name that is somebody else's stays as it is."""

    title: str
    manifest: KubeObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """Add fields to an object that is there, whoever made it."""

    title: str
    manifest: KubeObject
    """What identifies the object, and the fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerate:
    """Let a DaemonSet run on nodes with a taint; passed over where there is no such DaemonSet."""

    title: str
    namespace: str
    name: str
    toleration: KubeObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Have the objects that a project publishes as YAML at a URL."""

    title: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveByPod:
    """Run a Pod to its end, which must be a good one, and remove it."""

    title: str
    pod: KubeObject
    seconds: float


SetupStep = Run | Connect | Ensure | Extend | Tolerate | Publish | ProveByPod


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """The steps in order, and how to use what they make."""

    steps: Sequence[SetupStep]
    context: str | None = None
    """Context of the kubeconfig; a step may make it."""
    kubeconfig: str | None = None
    flags: Mapping[str, str]
    """For `dag pod` afterwards; also what may be written into dag.toml."""


# https://kubernetes.io/docs/reference/kubernetes-api/: plural, and whether it is in a namespace.
_KINDS = {
    "Namespace": ("namespaces", False),
    "ServiceAccount": ("serviceaccounts", True),
    "ConfigMap": ("configmaps", True),
    "Pod": ("pods", True),
    "DaemonSet": ("daemonsets", True),
    "Role": ("roles", True),
    "RoleBinding": ("rolebindings", True),
    "ClusterRole": ("clusterroles", False),
    "ClusterRoleBinding": ("clusterrolebindings", False),
    "CSIDriver": ("csidrivers", False),
    "CustomResourceDefinition": ("customresourcedefinitions", False),
    "SecretProviderClass": ("secretproviderclasses", True),
}


def collection_path(manifest: Mapping[str, Any]) -> str:
    """Give the API's path to where objects of this kind are made.

    Raises:
        UsageError: it is of a kind that `dag setup` does not deal with.

    """
    group, kind = str(manifest["apiVersion"]), str(manifest["kind"])
    if kind not in _KINDS:
        raise UsageError(f"{kind} {manifest['metadata']['name']}: dag setup knows no such kind")
    plural, namespaced = _KINDS[kind]
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    if not namespaced:
        return f"{root}/{plural}"
    return f"{root}/namespaces/{manifest['metadata'].get('namespace', 'default')}/{plural}"


def object_path(manifest: Mapping[str, Any]) -> str:
    """Give the API's path to the object that `manifest` describes."""
    return f"{collection_path(manifest)}/{manifest['metadata']['name']}"


def name_of(manifest: Mapping[str, Any]) -> str:
    """Name an object for people: `Role builds/dag`."""
    metadata = manifest["metadata"]
    namespace = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{manifest['kind']} {namespace}{metadata['name']}"


def identity(manifest: Mapping[str, Any]) -> KubeObject:
    """Reduce a manifest to what says which object it is: applied, it gives up all our fields."""
    metadata = manifest["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    return {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": kept}


def owned(manifest: Mapping[str, Any]) -> KubeObject:
    """Mark a manifest as ours."""
    metadata = manifest["metadata"]
    labels = {**metadata.get("labels", {}), OWNER_LABEL: OWNER}
    return {**manifest, "metadata": {**metadata, "labels": labels}}


def is_ours(found: Mapping[str, Any]) -> bool:
    """Tell whether `dag` has made an object."""
    return bool(found["metadata"].get("labels", {}).get(OWNER_LABEL) == OWNER)


def contains(found: object, wanted: object) -> bool:
    """Tell whether an object has all that is wanted; the server may have added to it."""
    match found, wanted:
        case dict(), dict():
            return all(key in found and contains(found[key], item) for key, item in wanted.items())
        case list(), list():
            return all(any(contains(have, want) for have in found) for want in wanted)
        case _:
            return bool(found == wanted)


def tolerations(daemonset: Mapping[str, Any]) -> list[KubeObject]:
    """Give the tolerations of a DaemonSet's pods."""
    return list(daemonset["spec"]["template"]["spec"].get("tolerations", ()))


def tolerates(daemonset: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether the pods of a DaemonSet tolerate a taint already.

    https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    """
    return any(
        item.get("key") in (None, wanted["key"])
        and item.get("effect") in (None, "", wanted["effect"])
        and (item.get("operator") == "Exists" or item.get("value") == wanted["value"])
        for item in tolerations(daemonset)
    )


def with_toleration(daemonset: Mapping[str, Any], wanted: KubeObject) -> list[KubeObject]:
    """Write the JSON patch that adds a toleration and our label to a DaemonSet."""
    labels = {**daemonset["metadata"].get("labels", {}), TOLERATED: OWNER}
    return _patch(daemonset, labels, [*tolerations(daemonset), wanted])


def without_toleration(daemonset: Mapping[str, Any], ours: KubeObject) -> list[KubeObject] | None:
    """Write the JSON patch that takes both away again; None if they are not from us."""
    labels = dict(daemonset["metadata"].get("labels", {}))
    if labels.pop(TOLERATED, None) is None:
        return None
    return _patch(daemonset, labels, [item for item in tolerations(daemonset) if item != ours])


def _patch(
    daemonset: Mapping[str, Any], labels: Mapping[str, str], wanted: Sequence[KubeObject]
) -> list[KubeObject]:
    version = daemonset["metadata"]["resourceVersion"]
    return [
        # Refused if somebody has changed it since it was read.
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/metadata/labels", "value": dict(labels)},
        {"op": "add", "path": "/spec/template/spec/tolerations", "value": list(wanted)},
    ]


def is_ready(found: Mapping[str, Any]) -> bool:
    """Tell whether an object does what it is there for; most do by being there."""
    status = found.get("status", {})
    match found["kind"]:
        case "CustomResourceDefinition":
            return any(
                item["type"] == "Established" and item["status"] == "True"
                for item in status.get("conditions", ())
            )
        case "DaemonSet":
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            counts = (status.get(key, 0) for key in ("updatedNumberScheduled", "numberReady"))
            return bool(seen and min(counts) >= status.get("desiredNumberScheduled", 0))
        case _:
            return True
