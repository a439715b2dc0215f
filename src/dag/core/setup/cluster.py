"""The steps that every cluster needs before `dag` builds on it, through Kubernetes' API alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dag.core.jobs.driver import DRIVER_ACCOUNT
from dag.core.jobs.permissions import permissions_for_jobs
from dag.core.jobs.queues import QUEUE_PERMISSIONS
from dag.core.kube.objects import KubeObject
from dag.core.pod import permissions
from dag.core.pod.manifest import KEY_FILE, KEY_MOUNT, SECRET_PROVIDER_CLASS
from dag.core.pod.options import CSI_DRIVER
from dag.core.pod.permissions import Permission
from dag.core.pod.pieces import preparing_security
from dag.core.setup.network import driver_policy, network_policy
from dag.core.setup.steps import (
    Ensure,
    Extend,
    ProveByPod,
    Publish,
    SetupPlan,
    SetupStep,
    Tolerate,
    mark_as_ours,
)

GKE_DRIVER = "secrets-store-gke.csi.k8s.io"
"""The CSI driver of GKE's own add-on. https://cloud.google.com/secret-manager/docs/secret-manager-managed-csi-component"""
_PROVIDERS = {CSI_DRIVER: "gcp", GKE_DRIVER: "gke"}

BUILD_NAMESPACE = "dag-builds"
"""The namespace that is proposed: builds need a Pod Security level that no other pod should have."""
SIGNING_KEY = "melange-signing-key"
_RBAC = "rbac.authorization.k8s.io"

BINFMT_IMAGE = (
    "docker.io/tonistiigi/binfmt"
    "@sha256:400a4873b838d1b89194d982c45e5fb3cda4593fbfd7e08a02e76b03b21166f0"
)
"""An image with QEMU for every architecture, which containers need not have when it is registered."""
_BINFMT = "/proc/sys/fs/binfmt_misc"

# The files that each project's own installation guide names, at the version that was read.
# https://secrets-store-csi-driver.sigs.k8s.io/getting-started/installation.html
_DRIVER_FILES = (
    "rbac-secretproviderclass.yaml",
    "csidriver.yaml",
    "secrets-store.csi.x-k8s.io_secretproviderclasses.yaml",
    "secrets-store.csi.x-k8s.io_secretproviderclasspodstatuses.yaml",
    "secrets-store-csi-driver.yaml",
)
_DRIVER = "kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy"
_PROVIDER_FILE = (
    "GoogleCloudPlatform/secrets-store-csi-driver-provider-gcp/v1.15.0/deploy/"
    "provider-gcp-plugin.yaml"
)
GITHUB = "https://raw.githubusercontent.com"

# The names in the manifests above, and the name that the driver's Helm chart has in its guide.
_DAEMONSETS = (
    "csi-secrets-store",
    "csi-secrets-store-secrets-store-csi-driver",
    "csi-secrets-store-provider-gcp",
)
# https://cloud.google.com/kubernetes-engine/docs/how-to/prepare-arm-workloads-for-deployment
ARM_TOLERATION: KubeObject = {
    "key": "kubernetes.io/arch",
    "operator": "Equal",
    "value": "arm64",
    "effect": "NoSchedule",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """The things that a cluster is to have; an empty value asks for nothing."""

    namespace: str = BUILD_NAMESPACE
    is_proposed: bool = False
    """Whether nobody has named the namespace, so that it must be one that `dag` makes."""
    service_account: str = "default"
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the service account, by which clouds tie it to an identity of theirs."""
    users: Sequence[str] = ()
    groups: Sequence[str] = ()
    """The users and groups that may run `dag pod` and `dag build` in the namespace, by the names that
    the API server has for them."""
    closes_network: bool = False
    """Whether builds reach no address of the cluster, and none of the network around it."""
    reached: Sequence[str] = ()
    """Ranges of addresses that they reach all the same."""
    secret_key: bool = False
    project: str | None = None
    """The project whose Secret Manager has the signing key. With None, somebody else makes the
    SecretProviderClass."""
    csi_driver: str = CSI_DRIVER
    manifests: str | None = None
    """The URL below which the driver's and the provider's manifests are. With None, neither is
    installed."""
    arm: bool = False
    binfmt: bool = False
    binfmt_image: str = BINFMT_IMAGE
    pending_timeout: float = 300.0
    """Seconds that a pod that tries something out may take: a node may have to be made for it."""
    busybox: str
    """An image with a shell, for pods that try something out."""


def cluster_plan(settings: ClusterSettings) -> SetupPlan:
    """Return the plan of `dag setup cluster`."""
    flags = {"namespace": settings.namespace, "service-account": settings.service_account}
    if settings.secret_key:
        flags |= secret_flags(settings)
    return SetupPlan(steps=tuple(cluster_steps(settings)), flags=flags)


def secret_flags(settings: ClusterSettings) -> dict[str, str]:
    """Return the flags with which `dag pod` signs."""
    flags = {"secret-key": "true"}
    return (
        flags if settings.csi_driver == CSI_DRIVER else {**flags, "csi-driver": settings.csi_driver}
    )


def cluster_steps(settings: ClusterSettings) -> Iterator[SetupStep]:
    """Yield the steps in their order."""
    yield from _place(settings)
    yield from _driver(settings.namespace)
    if settings.users or settings.groups:
        yield from _permission(settings)
    if settings.closes_network:
        yield Ensure(
            title="Network policy: builds reach public addresses, if the cluster enforces policies",
            manifest=mark_as_ours(network_policy(settings.namespace, settings.reached)),
        )
        yield Ensure(
            title="Network policy of drivers: they reach the API server, and run nothing of a build",
            manifest=mark_as_ours(driver_policy(settings.namespace)),
        )
    if settings.secret_key:
        yield from _secret(settings)
    if settings.binfmt:
        yield Ensure(
            title="Emulation: builds for one architecture run on nodes of another",
            manifest=_binfmt(settings),
        )


def _place(settings: ClusterSettings) -> Iterator[SetupStep]:
    name, account = settings.namespace, settings.service_account
    namespace: KubeObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    yield Ensure(
        title=f"Namespace {name}: where builds run",
        manifest=mark_as_ours(namespace),
        # The next step lets pods in it have every right.
        unless_foreign=f"--namespace {name} says that builds shall have it; or name another one"
        if settings.is_proposed
        else "",
    )
    # https://kubernetes.io/docs/concepts/security/pod-security-admission/
    level = {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}
    yield Extend(
        title="Pod Security level: the stricter ones forbid what bubblewrap needs",
        manifest={**namespace, "metadata": {"name": name, **level}},
    )
    who: KubeObject = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": account, "namespace": name},
    }
    yield Ensure(
        title=f"Service account {account}: pods run as this account", manifest=mark_as_ours(who)
    )
    if settings.annotations:
        metadata = {**who["metadata"], "annotations": dict(settings.annotations)}
        yield Extend(
            title="Identity: the service account stands for an account of the cloud",
            manifest={**who, "metadata": metadata},
        )


def _driver(namespace: str) -> Iterator[SetupStep]:
    """Yield what those builds need that are driven in the cluster itself."""
    metadata = {"name": DRIVER_ACCOUNT, "namespace": namespace}
    account: KubeObject = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    yield Ensure(
        title=f"Service account {DRIVER_ACCOUNT}: `dag build --detach` has a Job drive a build as this",
        manifest=mark_as_ours(account),
    )
    verbs = [
        *permissions_for_jobs(claim=True, out=False),
        *permissions.EXPLAIN,
        *permissions.IDENTITY,
        *QUEUE_PERMISSIONS,
    ]
    yield Ensure(
        title="Role of drivers: it allows what driving a build takes, and no more",
        manifest=mark_as_ours(_role(metadata, verbs)),
    )
    subject = {"kind": "ServiceAccount", **metadata}
    yield Ensure(
        title=f"Role binding: {DRIVER_ACCOUNT} may drive builds",
        manifest=mark_as_ours(_binding(metadata, [subject])),
    )


def _role(metadata: KubeObject, verbs: Iterable[Permission]) -> KubeObject:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": permissions.role_rules(verbs),
    }


def _binding(metadata: KubeObject, subjects: Sequence[KubeObject]) -> KubeObject:
    """Return what gives subjects the Role of the same name."""
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": metadata["name"]},
        "subjects": [*subjects],
    }


def _permission(settings: ClusterSettings) -> Iterator[SetupStep]:
    verbs = [
        *permissions.permissions_for_pod(follow=True, out=True),
        *permissions_for_jobs(claim=True, out=True),
        *permissions.EXPLAIN,
        *permissions.IDENTITY,
        *QUEUE_PERMISSIONS,
    ]
    if settings.secret_key:
        verbs += permissions.SECRET_KEY
    metadata = {"name": "dag", "namespace": settings.namespace}
    yield Ensure(
        title="Role: it allows what `dag pod` and `dag build` do, and no more",
        manifest=mark_as_ours(_role(metadata, verbs)),
    )
    people = [("User", name) for name in settings.users]
    people += [("Group", name) for name in settings.groups]
    subjects = [{"apiGroup": _RBAC, "kind": kind, "name": name} for kind, name in people]
    names = ", ".join(name for _, name in people)
    yield Ensure(
        title=f"Role binding: {names} may run `dag pod`",
        manifest=mark_as_ours(_binding(metadata, subjects)),
    )


def _secret(settings: ClusterSettings) -> Iterator[SetupStep]:
    if settings.manifests and settings.csi_driver == CSI_DRIVER:
        for path in (*(f"{_DRIVER}/{file}" for file in _DRIVER_FILES), _PROVIDER_FILE):
            file = path.rpartition("/")[2]
            title = f"Secrets Store CSI driver and its provider: {file}"
            yield Publish(title=title, url=f"{settings.manifests}/{path}")
    if settings.arm and settings.csi_driver == CSI_DRIVER:
        for name in _DAEMONSETS:
            yield Tolerate(
                title=f"{name} on arm nodes: these have a taint, which it must tolerate",
                namespace="kube-system",
                name=name,
                toleration=ARM_TOLERATION,
            )
    if settings.project:
        yield Ensure(
            title=f"SecretProviderClass {SECRET_PROVIDER_CLASS}: it makes a file of the secret",
            manifest=mark_as_ours(_secret_class(settings, settings.project)),
        )
    for arch in ("amd64", "arm64") if settings.arm else ("",):
        on = f" on a node of {arch}" if arch else ""
        yield ProveByPod(
            title=f"Secret test: a pod{on} must find the signing key",
            pod=mark_as_ours(_secret_test(settings, arch)),
            seconds=settings.pending_timeout,
        )


def _secret_class(settings: ClusterSettings, project: str) -> KubeObject:
    resource = f"projects/{project}/secrets/{SIGNING_KEY}/versions/latest"
    # The provider takes a list as text; JSON is YAML.
    secrets = json.dumps([{"resourceName": resource, "path": KEY_FILE}])
    return {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": {"name": SECRET_PROVIDER_CLASS, "namespace": settings.namespace},
        "spec": {
            "provider": _PROVIDERS.get(settings.csi_driver, "gcp"),
            "parameters": {"secrets": secrets},
        },
    }


def _secret_test(settings: ClusterSettings, arch: str) -> KubeObject:
    file = f"{KEY_MOUNT}/{KEY_FILE}"
    # It prints nothing of what it reads.
    script = (
        f"grep -q 'PRIVATE KEY-----' {file} || {{ echo '{file} holds no private key'; exit 1; }}"
    )
    spec: KubeObject = {
        "restartPolicy": "Never",
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": "test",
                "image": settings.busybox,
                "command": ["sh", "-c", script],
                "securityContext": preparing_security(),
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [{"name": "key", "mountPath": KEY_MOUNT, "readOnly": True}],
            }
        ],
        "volumes": [
            {
                "name": "key",
                "csi": {
                    "driver": settings.csi_driver,
                    "readOnly": True,
                    "volumeAttributes": {"secretProviderClass": SECRET_PROVIDER_CLASS},
                },
            }
        ],
    }
    if arch:
        spec["nodeSelector"] = {"kubernetes.io/arch": arch}
    if arch == "arm64":
        spec["tolerations"] = [ARM_TOLERATION]
    name = f"dag-secret-test-{arch}" if arch else "dag-secret-test"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": settings.namespace},
        "spec": spec,
    }


def _binfmt(settings: ClusterSettings) -> KubeObject:
    labels = {"app.kubernetes.io/name": "dag-binfmt"}
    small = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    install = {
        "name": "install",
        "image": settings.binfmt_image,
        "args": ["--install", "all"],
        "resources": small,
        "securityContext": {"privileged": True},
    }
    # Linux 6.7 and later forget what is registered when the last mount of binfmt_misc goes, and
    # `install` removes its own: https://github.com/tonistiigi/binfmt/issues/360. A node need not
    # have another one. This container also keeps the pod alive, so nodes that come later are served.
    forever = "while :; do sleep 86400; done"
    stay = {
        "name": "stay",
        "image": settings.busybox,
        "command": ["sh", "-c", f"mount -t binfmt_misc binfmt_misc {_BINFMT} && {forever}"],
        "resources": small,
        "securityContext": {"privileged": True},
    }
    mounted = {"exec": {"command": ["test", "-e", f"{_BINFMT}/register"]}, "periodSeconds": 1}
    # The exit code of the image is 0 even if nothing was registered.
    some = ["sh", "-c", f"ls {_BINFMT} | grep -qvx -e register -e status"]
    # A sidecar, so that the mount is there before `install` runs. With two, either may restart.
    first = {**stay, "name": "hold", "restartPolicy": "Always", "startupProbe": mounted}
    stay["readinessProbe"] = {"exec": {"command": some}, "periodSeconds": 1}
    return mark_as_ours(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "dag-binfmt", "namespace": settings.namespace},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automountServiceAccountToken": False,
                        "terminationGracePeriodSeconds": 1,
                        "nodeSelector": {"kubernetes.io/os": "linux"},
                        "initContainers": [first, install],
                        "containers": [stay],
                    },
                },
            },
        }
    )
