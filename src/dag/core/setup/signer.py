"""The steps that make a signer: its own namespace, its key, and what runs it every minute.

Whoever may create Jobs in a namespace may use every account and every Secret there. So the key lies
where neither who drives builds nor what builds may create anything; the cluster is asked whether that is
so before the key comes there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dag.core.arch import Arch
from dag.core.jobs.claims import Claim
from dag.core.jobs.driver import DRIVER_ACCOUNT
from dag.core.jobs.signer import PRIVILEGE_REACHES_KEY
from dag.core.kube.containers import container_words
from dag.core.kube.objects import KubeObject
from dag.core.pod.identity import CloudIdentity, identity_of
from dag.core.pod.manifest import KEY_FILE, KEY_MOUNT
from dag.core.pod.pieces import AGENT_USER, agent_security, resource_requests
from dag.core.pod.scheduling import SchedulingOptions, scheduling_fields
from dag.core.setup.network import signer_policy
from dag.core.setup.steps import (
    Ensure,
    Forbid,
    KeepFiles,
    KeepTrust,
    ProveByPod,
    SetupPlan,
    SetupStep,
    mark_as_ours,
)
from dag.core.store.buckets import Bucket

SIGNER_NAMESPACE = "dag-signer"
SIGNER_NAME = "dag-signer"
"""The name of everything in that namespace."""
_ENGINES, _STATE, _STORE = "/etc/dag/engines", "/dag-agent", "/dag-store"
_DEADLINE = 3600
"""Seconds after which one run of the signer ends; the next one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerSettings:
    """A signer."""

    namespace: str = SIGNER_NAMESPACE
    is_proposed: bool = False
    """Whether nobody has named the namespace, so that it must be one that `dag` makes."""
    store: Claim | Bucket
    """The store as pods of this namespace reach it."""
    image: str
    """The image of the agent."""
    public_name: str
    """The name of the public half of the key, as those have it who verify."""
    key_file: str | None = None
    """The path of the private key; None if a CSI driver mounts it."""
    secret_class: str | None = None
    """The SecretProviderClass that says which secret is the key."""
    csi_driver: str
    engines: Mapping[str, str]
    """The public halves of the keys of engines that are trusted: PEM, by the names of files."""
    replaces_engines: bool = False
    """Whether others are trusted no more that were before."""
    trusts_store: bool = False
    schedule: str
    builds: str
    """The namespace of builds."""
    service_account: str = "default"
    """The account as which they run, which may create nothing here."""
    users: Sequence[str] = ()
    """Those who drive builds, and may create nothing here either."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the service account, by which clouds tie it to an identity of theirs."""
    bucket_secret: str | None = None
    reached: Sequence[str] = ()
    """Ranges of addresses that it reaches besides public ones."""
    proxies: Sequence[KubeObject] = ()
    """The variables by which it knows its proxy."""
    node: Arch
    scheduling: SchedulingOptions
    pending_timeout: float


def signer_plan(settings: SignerSettings) -> SetupPlan:
    """Return the plan of `dag setup signer`."""
    return SetupPlan(
        steps=tuple(_steps(settings)),
        flags={"sign": "apart"},
        command="dag build",
        notes=(PRIVILEGE_REACHES_KEY,),
    )


def _steps(settings: SignerSettings) -> Iterator[SetupStep]:
    name = settings.namespace
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    yield Ensure(
        title=f"Namespace {name}: where the signer runs, and nothing else",
        manifest=mark_as_ours(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": level}}
        ),
        unless_foreign=f"--signer-namespace {name} says that the signer shall have it; or name another one"
        if settings.is_proposed
        else "",
    )
    for who, words in _builders(settings):
        yield Forbid(
            title=f"Isolation: {words} may create nothing in namespace {name}",
            namespace=name,
            user=who,
        )
    yield Ensure(
        title="Service account: it may do nothing in the cluster",
        manifest=_object(
            settings,
            "ServiceAccount",
            metadata={"annotations": dict(settings.annotations)} if settings.annotations else {},
            automountServiceAccountToken=False,
        ),
    )
    if settings.key_file is not None:
        yield KeepFiles(
            title="Secret: the key that signs",
            manifest=_object(settings, "Secret", type="Opaque"),
            files={KEY_FILE: settings.key_file},
        )
    yield KeepTrust(
        title="Trust: the public halves of the keys of those who drive builds",
        manifest=_object(settings, "ConfigMap", data=dict(settings.engines)),
        replaces=settings.replaces_engines,
    )
    yield Ensure(
        title="Network policy: the signer reaches its store, if the cluster enforces policies",
        manifest=mark_as_ours(
            signer_policy(
                settings.namespace,
                settings.reached,
                outside=isinstance(settings.store, Bucket),
            )
        ),
    )
    yield ProveByPod(
        title="Test: a pod must find the key and the store",
        pod=mark_as_ours(_test(settings)),
        seconds=settings.pending_timeout,
    )
    yield Ensure(
        title=f"CronJob {SIGNER_NAME}: it answers requests of builds",
        manifest=mark_as_ours(_cron_job(settings)),
    )


def _builders(settings: SignerSettings) -> Iterator[tuple[str, str]]:
    account = f"system:serviceaccount:{settings.builds}"
    yield f"{account}:{settings.service_account}", f"what builds in {settings.builds}"
    yield f"{account}:{DRIVER_ACCOUNT}", f"what drives builds in {settings.builds}"
    for one in settings.users:
        yield one, one


def _object(
    settings: SignerSettings,
    kind: str,
    metadata: Mapping[str, object] | None = None,
    **fields: object,
) -> KubeObject:
    about = {"name": SIGNER_NAME, "namespace": settings.namespace, **(metadata or {})}
    return mark_as_ours({"apiVersion": "v1", "kind": kind, "metadata": about, **fields})


def _pod_spec(settings: SignerSettings, *more: str) -> KubeObject:
    """Return the spec of a Pod that signs; with `--check` it only looks."""
    mounts: list[KubeObject] = [
        {"name": "key", "mountPath": KEY_MOUNT, "readOnly": True},
        {"name": "engines", "mountPath": _ENGINES, "readOnly": True},
        {"name": "agent", "mountPath": _STATE},
    ]
    volumes: list[KubeObject] = [
        {"name": "key", **_key_volume(settings)},
        {"name": "engines", "configMap": {"name": SIGNER_NAME}},
        {"name": "agent", "emptyDir": {}},
    ]
    if isinstance(settings.store, Bucket):
        store = str(settings.store)
    else:
        store = f"{_STORE}/{settings.store.folder}".rstrip("/")
        mounts.append({"name": "store", "mountPath": _STORE})
        claim = {"claimName": settings.store.name}
        volumes.append({"name": "store", "persistentVolumeClaim": claim})
    identity = _identity(settings)
    if identity is not None:
        mounts += identity.mounts
        volumes += identity.volumes
    words = ["sign", f"--store={store}", f"--state={_STATE}", f"--key={KEY_MOUNT}/{KEY_FILE}"]
    words += [f"--public-name={settings.public_name}", f"--engines={_ENGINES}"]
    words += ["--trust-store"] if settings.trusts_store else []
    container: KubeObject = {
        "name": "agent",
        "image": settings.image,
        "args": container_words([*words, *more]),
        "env": [
            {"name": "TMPDIR", "value": _STATE},
            *settings.proxies,
            *(identity.environment if identity else ()),
        ],
        "securityContext": agent_security(),
        "resources": resource_requests(cpu="100m", memory="256Mi", disk="1Gi"),
        "volumeMounts": mounts,
    }
    if settings.bucket_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": settings.bucket_secret}}]
    return {
        "restartPolicy": "Never",
        "serviceAccountName": SIGNER_NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **scheduling_fields(settings.node, settings.scheduling),
        "securityContext": {"fsGroup": AGENT_USER},
        "containers": [container],
        "volumes": volumes,
    }


def _identity(settings: SignerSettings) -> CloudIdentity | None:
    """Return the identity that the service account says that it has for the bucket."""
    if not isinstance(settings.store, Bucket) or settings.bucket_secret is not None:
        return None
    account = {"metadata": {"name": SIGNER_NAME, "annotations": dict(settings.annotations)}}
    return identity_of(account, settings.store)


def _pod_metadata(settings: SignerSettings) -> KubeObject:
    identity = _identity(settings)
    annotations = identity.annotations if identity is not None else {}
    return {"annotations": dict(annotations)} if annotations else {}


def _key_volume(settings: SignerSettings) -> KubeObject:
    if settings.secret_class is None:
        return {"secret": {"secretName": SIGNER_NAME, "defaultMode": 0o440}}
    attributes = {"secretProviderClass": settings.secret_class}
    driver = settings.csi_driver
    return {"csi": {"driver": driver, "readOnly": True, "volumeAttributes": attributes}}


def _test(settings: SignerSettings) -> KubeObject:
    about = _pod_metadata(settings)
    metadata = {"name": f"{SIGNER_NAME}-test", "namespace": settings.namespace, **about}
    spec = _pod_spec(settings, "--check")
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _cron_job(settings: SignerSettings) -> KubeObject:
    about = _pod_metadata(settings)
    job: KubeObject = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": _DEADLINE,
        "template": {**({"metadata": about} if about else {}), "spec": _pod_spec(settings)},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": SIGNER_NAME, "namespace": settings.namespace},
        "spec": {
            "schedule": settings.schedule,
            "concurrencyPolicy": "Forbid",
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": job},
        },
    }
