"""Judges facts about a cluster: fine for a build, doubtful, or wrong and how to mend it.

The facts are objects as the API shows them; None stands for one that does not exist.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dag.core.arch import Arch
from dag.core.kube.objects import KubeView
from dag.core.kube.policies import ENFORCE, is_pod_security, policy_remedy, words_of_policy
from dag.core.pod.identity import PROVIDER
from dag.core.pod.options import CSI_DRIVER
from dag.core.pod.permissions import Permission, grant_commands
from dag.core.store.buckets import Bucket
from dag.errors import DagError, UsageError, one_line

_IDENTITIES = {
    # https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity
    "gs": ("iam.gke.io/gcp-service-account", "NAME@PROJECT.iam.gserviceaccount.com"),
    # https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
    "s3": ("eks.amazonaws.com/role-arn", "arn:aws:iam::ACCOUNT:role/NAME"),
}
_INSTALL = {
    # https://secrets-store-csi-driver.sigs.k8s.io/getting-started/installation
    CSI_DRIVER: (
        "helm install csi-secrets-store secrets-store-csi-driver --namespace kube-system"
        " --repo https://kubernetes-sigs.github.io/secrets-store-csi-driver/charts"
    ),
    # https://cloud.google.com/secret-manager/docs/secret-manager-managed-csi-component
    "secrets-store-gke.csi.k8s.io": (
        "gcloud container clusters update CLUSTER --location=LOCATION --enable-secret-manager"
    ),
}


class Status(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    """A build may work, or it is not known."""
    FAILED = "failed"
    """A build would not work."""
    SKIPPED = "skipped"
    """Not made."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `fix` is what mends it, a command where there is one."""

    status: Status
    message: str
    fix: str | None = None
    usage: bool = False
    """What was asked for is wrong, not what is around it."""

    @classmethod
    def of(cls, error: DagError) -> Finding:
        """Return the finding for an error that would end a build."""
        return cls(
            Status.FAILED, one_line(error.message), error.hint, isinstance(error, UsageError)
        )


def ok(message: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(Status.OK, message)


ELSEWHERE = "the build would fail at them, unless the melange of --sdk-image is another one"
"""What follows from definitions that the melange of this machine cannot compile, for a build in pods."""

BROKEN = "a build leaves them out, with what needs them: correct them"
"""What follows from definitions that cannot be used at all."""


def definitions(
    words: str,
    refused: Sequence[str],
    fix: str = ELSEWHERE,
    *,
    broken: Sequence[str] = (),
    unmade: Sequence[str] = (),
) -> Finding:
    """Judge the definitions, of which `words` say how many are made.

    `refused` are, in words, those that a melange cannot compile, and `fix` is what follows from that.
    `broken` says what is wrong with those that nobody can use, and `unmade` says why make will not make them.
    """
    if unmade:
        return Finding(Status.WARNING, f"{words}; {unmade[0]}", "correct the Makefile")
    told = (*broken, *refused)
    if not told:
        return ok(words)
    more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
    return Finding(
        Status.WARNING, f"{words}; {'; '.join(told[:3])}{more}", BROKEN if broken else fix
    )


def skipped(why: str) -> Finding:
    """Return the finding of a check that was not made."""
    return Finding(Status.SKIPPED, f"not checked: {why}")


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 if a build could work, 2 if the request is wrong, 3 if something else would stop it."""
    failed = [finding for finding in findings if finding.status is Status.FAILED]
    if any(finding.usage for finding in failed):
        return 2
    return 3 if failed else 0


def version_name(version: KubeView) -> str:
    """Return the name of an API server's Kubernetes, from its answer to /version."""
    name = f"Kubernetes {version.get('gitVersion', 'of an unknown version')}"
    # A server under upgrade may do as an older one does.
    # https://kubernetes.io/docs/concepts/cluster-administration/compatibility-version/
    emulated = f"{version.get('emulationMajor', '')}.{version.get('emulationMinor', '')}"
    if emulated in (".", f"{version.get('major')}.{version.get('minor')}"):
        return name
    return f"{name}, emulating {emulated}"


def namespace(name: str, found: KubeView | None) -> Finding:
    """Judge the namespace of the Pod."""
    if found is None:
        return Finding(
            Status.FAILED, f"there is no namespace {name}", f"kubectl create namespace {name}"
        )
    if found.get("status", {}).get("phase") == "Terminating":
        return Finding(
            Status.FAILED,
            f"namespace {name} is being deleted",
            "wait until it is gone and create it again, or take another one with --namespace",
        )
    return ok(f"{name} exists")


def pod_security(name: str, found: KubeView | None, *, confined: bool) -> Finding:
    """Judge the level of Pod Security that the namespace enforces, where nothing else tells.

    Without privilege, too, a build needs what `baseline` forbids: an unmasked /proc and no seccomp
    filter, in which bubblewrap makes its sandbox. Of the two, Kubernetes 1.35 allows the first in a
    user namespace.
    """
    if found is None:
        return Finding(Status.WARNING, "not known: the labels of the namespace may not be read")
    level = found["metadata"].get("labels", {}).get(ENFORCE)
    if level in ("baseline", "restricted"):
        broken = (
            "the seccomp profile Unconfined and procMount Unmasked" if confined else "privilege"
        )
        return Finding(
            Status.FAILED,
            f"namespace {name} enforces the level {level}, which forbids what bubblewrap needs: {broken}",
            _label_command(name),
        )
    return ok(f"namespace {name} enforces {'no level' if level is None else f'the level {level}'}")


def pod_admitted(name: str) -> Finding:
    """Return the finding that an API server would create a Pod with the rights of a build."""
    return ok(f"namespace {name} admits pods that build")


def pod_refused(name: str, message: str) -> Finding | None:
    """Judge the refusal of a Pod with the rights of a build; None if no policy says so."""
    remedy = policy_remedy(message)
    if remedy is None:
        return None
    return Finding(
        Status.FAILED,
        f"namespace {name} admits no pod that builds: {words_of_policy(message)}",
        _label_command(name) if is_pod_security(message) else remedy,
    )


def _label_command(name: str) -> str:
    return f"kubectl label --overwrite namespace {name} {ENFORCE}=privileged"


def permissions(
    place: str, needed: Sequence[Permission], lacking: Sequence[Permission], user: str | None
) -> Finding:
    """Judge what this user may do in the namespace; of events alone, a build can do without."""
    words = ", ".join(map(str, lacking))
    who = user or "this user"
    fix = f"who runs the cluster runs: {grant_commands(needed, place, user)}"
    if any(one.resource != "events" for one in lacking):
        return Finding(Status.FAILED, f"{who} has no permission to {words} in {place}", fix)
    if lacking:
        return Finding(
            Status.WARNING, f"{who} may not {words}: waiting is explained less well", fix
        )
    return ok(f"{who} may do in {place} what a build needs")


def service_account(
    name: str, place: str, found: KubeView | None, bucket: Bucket | None, *, secret: bool
) -> Finding:
    """Judge the Pod's account, and with a bucket and without a secret for it, its cloud identity."""
    if found is None:
        return Finding(
            Status.FAILED,
            f"there is no service account {name} in namespace {place}",
            f"kubectl create serviceaccount {name} -n {place}",
        )
    if bucket is None or secret:
        return ok(f"{name} exists")
    annotation, example = _IDENTITIES[bucket.scheme]
    annotations = found["metadata"].get("annotations") or {}
    identity = annotations.get(annotation) or (bucket.scheme == "gs" and annotations.get(PROVIDER))
    if not identity:
        return Finding(
            Status.WARNING,
            f"{name} has no {annotation}: {bucket} must be open to it by other ways",
            f"kubectl annotate serviceaccount {name} -n {place} {annotation}={example}",
        )
    return ok(f"{name} is {identity} in the cloud")


def bucket_secret(name: str, place: str, found: KubeView | None) -> Finding:
    """Judge the Secret of --bucket-secret."""
    if found is None:
        return Finding(
            Status.FAILED,
            f"there is no secret {name} in namespace {place}",
            f"kubectl create secret generic {name} -n {place}"
            " --from-literal=AWS_ACCESS_KEY_ID=… --from-literal=AWS_SECRET_ACCESS_KEY=…",
        )
    return ok(f"{name} exists")


def bucket_access(bucket: Bucket, account: str, secret: str | None) -> str:
    """Return what lets a Pod's transfers into a bucket."""
    if secret is not None:
        return f"the secret {secret} must have the variables that docs/pod.md lists for {bucket}"
    name = bucket.path.split("/")[0]
    if bucket.scheme == "gs":
        return (
            f"gcloud storage buckets add-iam-policy-binding gs://{name}"
            f" --role=roles/storage.objectUser --member=MEMBER, for what {account} stands for"
        )
    return (
        f"the role that {account} stands for must allow s3:ListBucket, s3:GetObject, s3:PutObject"
        f" and s3:DeleteObject on {name}"
    )


def image(reference: str, platforms: Iterable[str], archs: Sequence[Arch], flag: str) -> Finding:
    """Judge whether an image is for the architectures; platforms are like `linux/arm64/v8`."""
    lacking = [arch for arch in archs if platform_for(platforms, arch) is None]
    if lacking:
        have = ", ".join(platforms) or "no platform"
        return Finding(
            Status.FAILED,
            f"{reference} is not for {', '.join(arch.oci for arch in lacking)}: it has {have}",
            f"name an image with {flag} that has it, or leave it out of --arch; nodes that emulate"
            " what they build for are named by --node-arch",
        )
    return ok(f"{reference} is for {', '.join(arch.oci for arch in archs)}")


def platform_for(platforms: Iterable[str], arch: Arch) -> str | None:
    """Return the platform of an image that is for an architecture, whatever the variant."""
    wanted = f"linux/{arch.oci}"
    return next((one for one in platforms if f"{one}/".startswith(f"{wanted}/")), None)


def csi_driver(name: str, found: KubeView | None, nodes: Sequence[KubeView] | None) -> Finding:
    """Judge the driver that mounts the key: its object, and the nodes on which it is registered.

    `nodes` are CSINodes; None if they may not be listed.
    """
    install = _INSTALL.get(name)
    if found is None:
        return Finding(
            Status.FAILED,
            f"the cluster has no CSI driver {name}",
            install or "install it, or name another one with --csi-driver",
        )
    if nodes is None:
        return ok(f"{name} is installed")
    having = [
        str(node["metadata"]["name"])
        for node in nodes
        if name in (driver["name"] for driver in node["spec"].get("drivers") or ())
    ]
    if not having and nodes:
        return Finding(
            Status.FAILED,
            f"{name} is registered on no node, so nothing can be mounted",
            "kubectl get pods -A | grep secrets-store tells what keeps its pods from running",
        )
    return ok(f"{name} is on {len(having)} of {len(nodes)} nodes")


def key_class(name: str, place: str, found: KubeView | None) -> Finding:
    """Judge the SecretProviderClass that says where the key is."""
    if found is None:
        return Finding(
            Status.FAILED,
            f"namespace {place!r} has no SecretProviderClass {name}",
            f"`dag setup cluster --print -n {place}` shows what to make",
        )
    return ok(f"{name} exists, of provider {provider(found)}")


def provider(found: KubeView) -> str:
    """Return the name of the provider that a SecretProviderClass wants."""
    return str(found.get("spec", {}).get("provider", "?"))


def csi_provider(name: str, daemon_sets: Sequence[KubeView]) -> Finding:
    """Judge whether the class's provider runs, by the name that their makers give DaemonSets."""
    pattern = re.compile(rf"provider.*{re.escape(name)}|{re.escape(name)}.*provider")
    for one in daemon_sets:
        if pattern.search(one["metadata"]["name"]):
            status = one.get("status", {})
            ready, wanted = status.get("numberReady", 0), status.get("desiredNumberScheduled", 0)
            full = f"{one['metadata']['namespace']}/{one['metadata']['name']}"
            if ready == wanted:
                return ok(f"{full} runs on {ready} nodes")
            return Finding(
                Status.WARNING,
                f"{full} runs on {ready} of {wanted} nodes",
                f"kubectl describe daemonset -n {one['metadata']['namespace']}"
                f" {one['metadata']['name']}",
            )
    return Finding(
        Status.WARNING,
        f"no DaemonSet looks like the provider {name}, without which the driver mounts nothing",
        f"kubectl get daemonsets -A | grep {shlex.quote(name)}",
    )
