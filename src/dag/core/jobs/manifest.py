"""The Job of one attempt at a unit, and those that read and publish a store: settings in, dict out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dag.core.arch import Arch
from dag.core.build.events import ComputeResources
from dag.core.image.layers import BUNDLE_ROOT
from dag.core.jobs.capacity import AGENT_SHARE
from dag.core.jobs.claims import Claim
from dag.core.jobs.names import (
    ATTEMPT_ANNOTATION,
    BUNDLE_ANNOTATION,
    PACKAGE_ANNOTATION,
    StoreInCluster,
    job_name,
    labels,
)
from dag.core.jobs.order import UnitOrder, encode_order
from dag.core.jobs.queues import QUEUE_LABEL
from dag.core.kube.containers import container_words
from dag.core.kube.objects import KubeObject, KubeView, seal
from dag.core.pod.identity import CloudIdentity
from dag.core.pod.manifest import BUILD, CACHE, PIPES, WITHOUT_IDENTITY
from dag.core.pod.pieces import (
    agent_security,
    builder_fields,
    environment_fields,
    isolation_fields,
    preparing_security,
    resource_requests,
    volume_mounts,
)
from dag.core.pod.scheduling import SchedulingOptions, scheduling_fields
from dag.core.store.buckets import Bucket

PREPARE, COLLECT, AGENT = "prepare", "collect", "agent"
_PLACE = "/unit"
"""The volume in which a unit is built: its workspace, and what it is given beside that."""
_WORKSPACE = f"{_PLACE}/workspace"
_STORE = "/dag-store"
AGENT_STATE = "/dag-agent"
"""What the agent's containers keep; the build has no part in it."""
PIPE = f"{PIPES}/{COLLECT}"
SCRIPT = f"{PIPES}/build"
"""The script that builds. In a Job's manifest it would be the most part of that."""
_TMP, _SHARED_TMP = "/tmp", "/dag-tmp"  # noqa: S108
LOGS = f"{_SHARED_TMP}/.dag"
_FIELDS = ("cpu", "memory", "ephemeral-storage")
_AGENT_RESOURCES = resource_requests(
    cpu=f"{AGENT_SHARE.cpu}m",
    memory=f"{AGENT_SHARE.ram >> 20}Mi",
    disk=f"{AGENT_SHARE.disk >> 20}Mi",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """What all Jobs of a run have in common."""

    namespace: str
    run: str
    arch: Arch
    node_arch: Arch | None
    store: Claim | Bucket
    bucket_secret: str | None = None
    """The Secret with the settings of the store's bucket."""
    identity: CloudIdentity | None = None
    """The identity of agents for the store's bucket; without it they have what the cluster gives."""
    bundle: str
    """The image of the agent with the directory of the definitions, by digest."""
    service_account: str
    scheduling: SchedulingOptions
    queue: str | None = None
    """The queue of Kueue in which Jobs wait for their turn."""
    confined: bool
    proxies: Sequence[KubeObject] = ()
    """The variables by which containers know their proxy."""
    version: str
    sdk_image: str = ""
    """The image that builds; agents of a store need none."""
    cache_bundle: str | None = None
    disk: str = ""
    """The request for ephemeral storage of what is laid out for a build, as a quantity."""
    timeout: float | None = None
    """Seconds after which Kubernetes ends an attempt."""

    @property
    def node(self) -> Arch:
        """The architecture of the node and of the images on it."""
        return self.node_arch or self.arch

    @property
    def key(self) -> StoreInCluster:
        """The store as the API knows it."""
        return StoreInCluster(self.namespace, self.arch.apk, str(self.store))


def unit_job(settings: JobSettings, order: UnitOrder, resources: ComputeResources) -> KubeObject:
    """Return the manifest of the Job of one attempt."""
    name = job_name(settings.run, order.package.name, order.arch, order.attempt)
    spec: KubeObject = {
        "initContainers": [_prepare_container(settings, order), *_cache_containers(settings)],
        "containers": [
            _build_container(settings, resources),
            _collect_container(settings),
        ],
        "volumes": [
            *({"name": one, "emptyDir": {}} for one in ("unit", "cache", "tmp", "pipes", "agent")),
            *_store_volumes(settings),
        ],
    }
    if settings.timeout is not None:
        spec["activeDeadlineSeconds"] = max(1, round(settings.timeout))
    annotations = {
        PACKAGE_ANNOTATION: order.package.name,
        ATTEMPT_ANNOTATION: str(order.attempt),
        "kubectl.kubernetes.io/default-container": BUILD,
        WITHOUT_IDENTITY: f"{BUILD},populate-cache",
    }
    return job_of(settings, name, spec, annotations)


def agent_job(settings: JobSettings, name: str, command: str, words: Sequence[str]) -> KubeObject:
    """Return the manifest of a Job that does something to the store."""
    return container_job(settings, name, agent_container(settings, AGENT, command, words))


def agent_container(
    settings: JobSettings, name: str, command: str, words: Sequence[str]
) -> KubeObject:
    """Return the container of an agent that does something to the store."""
    return {
        **_agent_fields(settings, name),
        **_store_settings(settings),
        # There is no other place to write, and what is served from a bucket is fetched first.
        "env": [{"name": "TMPDIR", "value": AGENT_STATE}, *_variables(settings)],
        "args": container_words([command, _store_word(settings), f"--state={AGENT_STATE}", *words]),
        "volumeMounts": [*_mounts("agent"), *_store_mounts(settings)],
    }


def container_job(settings: JobSettings, name: str, container: KubeObject) -> KubeObject:
    """Return the manifest of a Job of one container, on the nodes of units; the store is a volume."""
    spec: KubeObject = {
        "containers": [container],
        "volumes": [*_store_volumes(settings), {"name": "agent", "emptyDir": {}}],
    }
    return job_of(settings, name, spec, {})


def job_of(
    settings: JobSettings,
    name: str,
    spec: KubeObject,
    annotations: Mapping[str, str],
    *,
    marks: Mapping[str, str] | None = None,
    ends: KubeView | None = None,
) -> KubeObject:
    """Return the manifest of a Job whose Pods have what is in `spec`, besides what all have.

    `marks` are labels besides those of all Jobs. `ends` says when Kubernetes makes another Pod, or
    none any more; without it, it makes one, and ends that after some days.
    """
    marks = {**labels(settings.run, settings.arch.apk, str(settings.store)), **(marks or {})}
    queue = {} if settings.queue is None else {QUEUE_LABEL: settings.queue}
    annotations = {
        "dag/version": settings.version,
        BUNDLE_ANNOTATION: settings.bundle,
        **(settings.identity.annotations if settings.identity is not None else {}),
        **annotations,
    }
    pod: KubeObject = {
        "restartPolicy": "Never",
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **_scheduling_fields(settings),
        **isolation_fields(confined=settings.confined),
        **spec,
    }
    # Who judges how an attempt ended, and whether there is another, is the client: it knows why.
    once = {
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "activeDeadlineSeconds": round(settings.timeout or 0) + _DEADLINE,
    }
    job: KubeObject = {
        # Kueue lets go of it in its turn, and of nothing that is not suspended.
        **({"suspend": True} if queue else {}),
        **(once if ends is None else ends),
        "ttlSecondsAfterFinished": _TTL,
        "template": {"metadata": {"labels": marks, "annotations": annotations}, "spec": pod},
    }
    return seal(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": settings.namespace,
                "labels": {**marks, **queue},
                "annotations": annotations,
            },
            "spec": job,
        }
    )


def _scheduling_fields(settings: JobSettings) -> KubeObject:
    """Return what brings a Pod to its node, and ends it if that stops answering."""
    fields = scheduling_fields(settings.node, settings.scheduling)
    given = fields.get("tolerations", [])
    mine = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SILENCE}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        if not any(one["key"] == key for one in given)  # the shortest of several would count
    ]
    return {**fields, "tolerations": [*given, *mine]}


_SILENCE = 60
"""Seconds for which a node may not answer before another attempt is made elsewhere.

Kubernetes takes note of that only after 40 or 50 seconds, and gives Pods 300 more unless they say
otherwise: that suits services, of which others are there meanwhile. Nothing is there in the place of a
unit, and what needs it waits. Two attempts at once harm nobody: what is proven first counts.
https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
"""
_DEADLINE = 48 * 3600
"""Seconds after which a Job ends that nobody drives any more, besides what an attempt may take."""
_TTL = 24 * 3600
"""Seconds for which a Job that has ended stays if nobody has taken note of it."""


def _agent_fields(settings: JobSettings, name: str) -> KubeObject:
    return {
        "name": name,
        "image": settings.bundle,
        "securityContext": agent_security(),
        "resources": _AGENT_RESOURCES,
    }


def _prepare_container(settings: JobSettings, order: UnitOrder) -> KubeObject:
    words = ["prepare", f"--bundle=/{BUNDLE_ROOT}", *_agent_words(settings)]
    words += [f"--script={SCRIPT}", "--", *encode_order(order)]
    # It is the user of the build, so that the workspace is the build's own.
    return {
        "name": PREPARE,
        "image": settings.bundle,
        "securityContext": preparing_security(),
        **_store_settings(settings),
        "args": container_words(words),
        "resources": resource_requests(
            cpu="100m", memory=f"{AGENT_SHARE.ram >> 20}Mi", disk=settings.disk
        ),
        "volumeMounts": [
            *_mounts("unit", "pipes", "agent"),
            *_store_mounts(settings, read_only=True),
        ],
    }


def _cache_containers(settings: JobSettings) -> list[KubeObject]:
    if settings.cache_bundle is None:
        return []
    return [
        {
            "name": "populate-cache",
            "image": settings.cache_bundle,
            "args": ["unpack", f"/{BUNDLE_ROOT}", CACHE],
            "securityContext": preparing_security(),
            "volumeMounts": _mounts("cache"),
        }
    ]


def _build_container(settings: JobSettings, resources: ComputeResources) -> KubeObject:
    disk = _quantity(resources.disk) if resources.disk else settings.disk
    each = (f"{resources.cpu}m", _quantity(resources.ram), disk)
    amounts = dict(zip(_FIELDS, each, strict=True))
    return {
        "name": BUILD,
        "image": settings.sdk_image,
        "workingDir": _WORKSPACE,
        "command": ["sh", SCRIPT],
        # What it may have of memory is what it asked for: else others on the node would pay.
        "resources": {"requests": amounts, "limits": {"memory": amounts["memory"]}},
        **builder_fields(_TMP, confined=settings.confined, variables=settings.proxies),
        "volumeMounts": [
            *_mounts("unit", "cache"),
            {"name": "tmp", "mountPath": _TMP},
            *_mounts("pipes", read_only=True),
        ],
    }


def _quantity(size: int) -> str:
    """Return bytes as Kubernetes takes them."""
    return f"{size >> 20}Mi" if size % (1 << 20) == 0 else str(size)


def _collect_container(settings: JobSettings) -> KubeObject:
    return {
        **_agent_fields(settings, COLLECT),
        **_store_settings(settings),
        "args": container_words(["collect", *_agent_words(settings), f"--log-directory={LOGS}"]),
        "volumeMounts": [
            *_mounts("unit", "tmp", "pipes", read_only=True),
            *_mounts("agent"),
            *_store_mounts(settings),
        ],
    }


def _store_word(settings: JobSettings) -> str:
    if isinstance(settings.store, Bucket):
        return f"--store={settings.store}"
    return f"--store={_STORE}/{settings.store.folder}".rstrip("/")


def _agent_words(settings: JobSettings) -> list[str]:
    return [_store_word(settings), f"--place={_PLACE}", f"--state={AGENT_STATE}", f"--pipe={PIPE}"]


def _store_volumes(settings: JobSettings) -> list[KubeObject]:
    if isinstance(settings.store, Bucket):
        return settings.identity.volumes if settings.identity is not None else []
    return [{"name": "store", "persistentVolumeClaim": {"claimName": settings.store.name}}]


def _store_mounts(settings: JobSettings, *, read_only: bool = False) -> list[KubeObject]:
    if isinstance(settings.store, Bucket):
        return settings.identity.mounts if settings.identity is not None else []
    return _mounts("store", read_only=read_only)


def _store_settings(settings: JobSettings) -> KubeObject:
    """Return what an agent's container needs to reach a bucket."""
    secret = settings.bucket_secret
    return {
        **({"envFrom": [{"secretRef": {"name": secret}}]} if secret is not None else {}),
        **environment_fields(_variables(settings)),
    }


def _variables(settings: JobSettings) -> list[KubeObject]:
    """Return the environment of an agent's container."""
    own = settings.identity.environment if settings.identity is not None else []
    return [*settings.proxies, *own]


_mounts = partial(
    volume_mounts,
    {
        "unit": _PLACE,
        "cache": CACHE,
        "tmp": _SHARED_TMP,
        "pipes": PIPES,
        "agent": AGENT_STATE,
        "store": _STORE,
    },
)
