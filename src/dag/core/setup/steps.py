"""The steps of `dag setup` as data: what each is for, what it does, and how to see that it is done.

`dag.run.setup.steps` executes them, and `dag.report.setup` writes them as a shell script that does
the same. No step repeats what is done already, so a set-up that was interrupted continues when it
is run again. Undoing removes what `dag` has made and nothing else: Kubernetes objects that it made
have the label `app.kubernetes.io/managed-by=dag`, and objects of clouds have a mark of their own.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dag.core.kube.objects import KubeObject
from dag.errors import UsageError

Words = tuple[str, ...]

ABSENT_WORDS = (
    "not.?found|no such|does not exist|unknown service account|has not been used|SERVICE_DISABLED"
)
"""A pattern, for Python and for `grep -E`, of what gcloud and docker print when a thing does not
exist. That is an answer, and no failure."""

OWNER_LABEL = "app.kubernetes.io/managed-by"
OWNER = "dag"
MANAGER = "dag"
"""The field manager of objects that are ours. https://kubernetes.io/docs/reference/using-api/server-side-apply/"""
GUEST = "dag-setup"
"""The field manager of what we add to somebody else's object. It is another one, because all fields
of one manager come and go together."""

MARK = "made by dag setup"
"""The words on what is no object of Kubernetes, where there is room for a sentence."""
TOLERATED = "dag/tolerates"
"""The label of a DaemonSet that `Tolerate` has changed."""


@dataclass(frozen=True, slots=True)
class LineCheck:
    """A question to a program. The answer is yes if it prints `line` as one of its lines."""

    line: str
    argv: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgram:
    """Run a program, unless `done` says that this is done already."""

    title: str
    argv: Words
    stdin: str = ""
    done: LineCheck | None = None
    undo: Words = ()
    ours: LineCheck | None = None
    """If given, the step is undone only if this says that `dag` has made the thing."""
    patience: float = 0.0
    """Seconds until the cloud must know what the command names, as it is eventually consistent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Get credentials for a cluster. The steps after this one happen in that cluster.

    If `there` says no, the cluster is gone, and what those steps made is gone with it.
    """

    title: str
    argv: Words
    there: LineCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensure:
    """Make or update an object of our own; if somebody else has made it, it stays as it is."""

    title: str
    manifest: KubeObject
    unless_foreign: str = ""
    """If given, somebody else's object ends the set-up; this says what to do then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepTrust:
    """Make or update a ConfigMap of our own that has the public keys of those who are trusted.

    If somebody else has made it, that ends the set-up.
    """

    title: str
    manifest: KubeObject
    replaces: bool = False
    """Whether those are trusted no more who were before, unless the manifest has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """Add fields to an object that exists, whoever made it."""

    title: str
    manifest: KubeObject
    """The object's identity and the fields to add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerate:
    """Let a DaemonSet run on nodes with a taint, if there is such a DaemonSet."""

    title: str
    namespace: str
    name: str
    toleration: KubeObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Make or update the objects that a project publishes as YAML at a URL."""

    title: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveByPod:
    """Run a Pod, which must succeed, and remove it."""

    title: str
    pod: KubeObject
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepFiles:
    """Make or update a Secret of our own that has files of this machine, which are read at that moment."""

    title: str
    manifest: KubeObject
    """The Secret without its content, which nobody prints."""
    files: Mapping[str, str]
    """Their paths, by the keys of the Secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbid:
    """Ask the cluster whether somebody may use what is in a namespace; that ends the set-up."""

    title: str
    namespace: str
    user: str


ObjectStep = Ensure | KeepTrust | Extend | Tolerate | Publish | ProveByPod | KeepFiles
"""A step that is about objects of a cluster; undoing it removes those that are ours."""
SetupStep = RunProgram | Connect | Forbid | ObjectStep

FOREIGN_TRUST = (
    "whom the signer trusts would be up to whoever made it; delete it, and run this again"
)
"""What to do where somebody else has made the ConfigMap of a `KeepTrust`."""
OTHERS_TRUSTED = (
    "`sha256sum engine.rsa.pub` of an engine begins as its name here; --replace-engines no longer trusts "
    "those that were trusted before"
)
"""What to know where more is trusted than was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """The steps in their order, and how to use what they make."""

    steps: Sequence[SetupStep]
    context: str | None = None
    """The context of the kubeconfig, which a step may make. Only with None, in a pod that speaks to
    its own cluster, there is none."""
    kubeconfig: str | None = None
    flags: Mapping[str, str]
    """Flags for builds afterwards, which may also be written into dag.toml."""
    command: str = "dag pod"
    """The command that takes them."""
    notes: Sequence[str] = ()
    """What people must know besides."""

    @property
    def next_command(self) -> str:
        """Return the command that builds on what was made."""
        flags = (
            f"--{name}" if value == "true" else f"--{name}={value}"
            for name, value in self.flags.items()
        )
        return shlex.join([*self.command.split(), *flags])

    @property
    def next_words(self) -> Sequence[str]:
        """Return what people must know before that command."""
        told = (
            f"builds go where `{self.command}` is told: give it the flags below, or write them into"
        )
        return (*self.notes, f"{told} dag.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One thing that is ours, as a look has found it."""

    what: str
    """The thing, for people."""
    step: SetupStep
    manifest: KubeObject = field(default_factory=dict)
    """The object of Kubernetes, if it is one, with its UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The things of a step that undoing it removes, or the reason why there are none."""

    removals: Sequence[Removal] = ()
    outcome: str = ""


# The plural of each kind, and whether its objects are in a namespace:
# https://kubernetes.io/docs/reference/kubernetes-api/
_KINDS = {
    "Namespace": ("namespaces", False),
    "ServiceAccount": ("serviceaccounts", True),
    "ConfigMap": ("configmaps", True),
    "Pod": ("pods", True),
    "DaemonSet": ("daemonsets", True),
    "Role": ("roles", True),
    "RoleBinding": ("rolebindings", True),
    "NetworkPolicy": ("networkpolicies", True),
    "ClusterRole": ("clusterroles", False),
    "ClusterRoleBinding": ("clusterrolebindings", False),
    "CSIDriver": ("csidrivers", False),
    "CustomResourceDefinition": ("customresourcedefinitions", False),
    "SecretProviderClass": ("secretproviderclasses", True),
}
_OWN_KINDS = {"Secret": ("secrets", True), "CronJob": ("cronjobs", True)}
"""Those that no manifest has which somebody publishes."""


def collection_path(manifest: Mapping[str, Any]) -> str:
    """Return the API's path at which objects of this kind are made.

    Raises:
        UsageError: `dag setup` does not know this kind.

    """
    group, kind = str(manifest["apiVersion"]), str(manifest["kind"])
    known = _KINDS | _OWN_KINDS
    if kind not in known:
        raise _unknown(manifest)
    plural, namespaced = known[kind]
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    if not namespaced:
        return f"{root}/{plural}"
    return f"{root}/namespaces/{manifest['metadata'].get('namespace', 'default')}/{plural}"


def require_published_kind(manifest: Mapping[str, Any]) -> None:
    """Refuse an object of a kind that nothing that somebody publishes needs.

    Raises:
        UsageError: it is of such a kind.

    """
    if manifest["kind"] not in _KINDS:
        raise _unknown(manifest)


def _unknown(manifest: Mapping[str, Any]) -> UsageError:
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    return UsageError(f"{name}: dag setup does not know this kind")


def object_path(manifest: Mapping[str, Any]) -> str:
    """Return the API's path to the object that `manifest` describes."""
    return f"{collection_path(manifest)}/{manifest['metadata']['name']}"


def name_of(manifest: Mapping[str, Any]) -> str:
    """Return the name of an object for people, like `Role builds/dag`."""
    metadata = manifest["metadata"]
    namespace = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{manifest['kind']} {namespace}{metadata['name']}"


def identity(manifest: Mapping[str, Any]) -> KubeObject:
    """Return a manifest that says only which object it is; applying it gives up all our fields."""
    metadata = manifest["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    return {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": kept}


def with_uid(manifest: Mapping[str, Any], found: Mapping[str, Any]) -> KubeObject:
    """Return a manifest that the server applies to the object that was found, and to no other."""
    return {**manifest, "metadata": {**manifest["metadata"], "uid": found["metadata"]["uid"]}}


def was_made_by(found: Mapping[str, Any], manager: str) -> bool:
    """Return whether nobody but this field manager has set anything of an object.

    Of one that was there before somebody has. A status, which controllers write, does not count.
    """
    return all(
        entry.get("manager") == manager or entry.get("subresource")
        for entry in found["metadata"].get("managedFields", ())
    )


def is_extended(found: Mapping[str, Any]) -> bool:
    """Return whether an object has fields that `dag` has added to it."""
    entries = found["metadata"].get("managedFields", ())
    return any(entry.get("manager") == GUEST for entry in entries)


def removal_words(manifest: Mapping[str, Any]) -> str:
    """Return what goes with an object that is deleted, for people."""
    match manifest["kind"]:
        case "Namespace":
            return f"{name_of(manifest)}, with all that is in it"
        case "CustomResourceDefinition":
            return f"{name_of(manifest)}, with all objects of this kind, whoever made them"
        case _:
            return name_of(manifest)


def mark_as_ours(manifest: Mapping[str, Any]) -> KubeObject:
    """Return a manifest with the label that marks the object as ours."""
    metadata = manifest["metadata"]
    labels = {**metadata.get("labels", {}), OWNER_LABEL: OWNER}
    return {**manifest, "metadata": {**metadata, "labels": labels}}


def is_ours(found: Mapping[str, Any]) -> bool:
    """Return whether `dag` has made an object: it has our label, and `dag` has applied it.

    Anybody may give the label to an object, also for a program of their own that has this name.
    """
    metadata = found["metadata"]
    managers = (entry.get("manager") for entry in metadata.get("managedFields", ()))
    return metadata.get("labels", {}).get(OWNER_LABEL) == OWNER and MANAGER in managers


def contains(found: object, wanted: object) -> bool:
    """Return whether an object has all that is wanted; the server may have added more."""
    match found, wanted:
        case dict(), dict():
            return all(key in found and contains(found[key], item) for key, item in wanted.items())
        case list(), list():
            return all(any(contains(have, want) for have in found) for want in wanted)
        case _:
            return bool(found == wanted)


def is_ready(found: Mapping[str, Any]) -> bool:
    """Return whether an object is ready; most kinds are ready as soon as they exist."""
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
