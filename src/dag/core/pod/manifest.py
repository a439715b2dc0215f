"""The Pod that builds, as the dict that is posted: settings and digests in, manifest out.

What `--create=false` prints is this dict, so nothing may be added to it later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dag.core.arch import Arch
from dag.core.build.scripts import OUT_PORT, OUT_SECONDS, SCRIPT_STATE
from dag.core.image.layers import BUNDLE_ROOT
from dag.core.kube.containers import container_words
from dag.core.kube.objects import KubeObject, seal
from dag.core.package.makefile import KEY
from dag.core.pod.identity import CloudIdentity
from dag.core.pod.options import PodOptions
from dag.core.pod.pieces import (
    agent_security,
    builder_fields,
    environment_fields,
    isolation_fields,
    preparing_security,
    proxy_variables,
    resource_requests,
    volume_mounts,
)
from dag.core.pod.scheduling import scheduling_fields
from dag.core.shell import ShellScript
from dag.core.store.buckets import Bucket

WORKSPACE = "/workspace"
CACHE = "/var/cache/melange"
KEY_MOUNT = "/var/secrets"
KEY_FILE = "melange.rsa"
MOUNTED_KEY = f"{KEY_MOUNT}/{KEY_FILE}"
KEY_DIRECTORY = "/dag-key"
"""On memory, and in the build's container alone."""
_TMP = "/tmp"  # noqa: S108
_SHARED_TMP = "/dag-tmp"
"""Where other containers have the build's /tmp, beside one of their own."""
PIPES = "/dag-pipes"
"""Where the build has, read-only, the pipes by which the agent's containers see its end."""
_AGENT_STATE = "/dag-agent"
"""What the agent's containers keep; the build has no part in it."""
SECRET_PROVIDER_CLASS = "melange-key"  # noqa: S105  # a name
RUN_LABEL = "dag/run"
ARCH_LABEL = "dag/arch"
BUILD = "build"
OUT = "out"
UPLOAD = "upload"
OURS = frozenset({"init", "fetch-packages", "populate-cache", BUILD, OUT, UPLOAD})
"""Containers that are in the manifest; an admission webhook may add others."""

_TRANSFERRING = frozenset({"fetch-packages", UPLOAD})
"""The containers that move packages, and need an identity of the cloud for that."""
WITHOUT_IDENTITY = "eks.amazonaws.com/skip-containers"  # the name of an annotation
"""The containers that get no token of a service account's role, init containers included.
https://github.com/aws/amazon-eks-pod-identity-webhook"""
_UPLOAD_GRACE = 300
"""Seconds in which what is built is still uploaded when somebody ends the pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """Everything that a Pod depends on: what was asked for, and what has been found for it."""

    options: PodOptions
    """What was asked for, with requests that are enough for the definitions; images are named by
    digest once `with_digests` has been called."""
    namespace: str
    """Where the Pod is created: that of the options, or what was found for them."""
    run: str
    """The run's id: lower-case hexadecimal."""
    arch: Arch
    """One of `options.arch`."""
    bundle: str
    """Image of the definitions, by digest."""
    script: ShellScript
    """The build script; its further arguments are `targets`."""
    targets: Sequence[str]
    wanted: Sequence[str] = ()
    """The files that are fetched from `options.src_bucket` first."""
    version: str
    identity: CloudIdentity | None = None
    """The identity of the containers that move packages; without it they have what the cluster gives."""
    key: str = KEY
    """Where the build finds its key: a name in the workspace, or the path of the mounted one."""

    @property
    def node(self) -> Arch:
        """The architecture of the node and of the images on it."""
        return self.options.node_arch or self.arch

    def images(self) -> list[str]:
        """Return the images that are not of our own making, as they were given."""
        options = self.options
        return [image for image in (options.sdk_image, options.cache_bundle) if image]

    def with_digests(self, digests: Mapping[str, str]) -> PodSettings:
        """Return the same with each image named as `digests` has it."""
        options = self.options
        cache = options.cache_bundle
        named = replace(
            options,
            sdk_image=digests[options.sdk_image],
            cache_bundle=digests[cache] if cache else None,
        )
        return replace(self, options=named)


def mounted_key_path(name: str) -> str:
    """Return where the build finds the key that is mounted; melange goes by the file's name."""
    return f"{KEY_DIRECTORY}/{name}.rsa"


def pod(settings: PodSettings) -> KubeObject:
    """Return the manifest of the Pod of one build."""
    options = settings.options
    spec: KubeObject = {
        "restartPolicy": "Never",
        "serviceAccountName": options.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **scheduling_fields(settings.node, options),
        "initContainers": _init_containers(settings),
        "containers": [_build_container(settings)],
        "volumes": _volumes(settings),
        **isolation_fields(confined=options.confined),
    }
    if options.timeout is not None:
        spec["activeDeadlineSeconds"] = max(1, round(options.timeout))
    if options.out is not None:
        spec["containers"].append(_out_container(settings))
    if options.bucket is not None:
        spec["terminationGracePeriodSeconds"] = _UPLOAD_GRACE
        spec["containers"].append(_upload_container(settings, options.bucket))
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "dag-",
            "namespace": settings.namespace,
            "labels": {
                "app.kubernetes.io/name": "dag",
                "app.kubernetes.io/managed-by": "dag",
                RUN_LABEL: settings.run,
                ARCH_LABEL: settings.arch.apk,
            },
            "annotations": {
                "dag/bundle": settings.bundle,
                "dag/packages": _packages_annotation(options.packages),
                "dag/version": settings.version,
                "kubectl.kubernetes.io/default-container": BUILD,
                WITHOUT_IDENTITY: ",".join(_names_without_identity(spec, options)),
                **(settings.identity.annotations if settings.identity is not None else {}),
            },
        },
        "spec": spec,
    }
    return seal(manifest)


def _names_without_identity(spec: KubeObject, options: PodOptions) -> list[str]:
    wanting = _TRANSFERRING if options.bucket_secret is None else frozenset()
    names = (one["name"] for one in (*spec["initContainers"], *spec["containers"]))
    return [name for name in names if name not in wanting]


def _packages_annotation(packages: Sequence[str]) -> str:
    # Annotations hold 256 KiB in all; thousands of names would tell nobody anything.
    if not packages:
        return "all"
    text = " ".join(packages)
    return text if len(text) <= 4096 else f"{text[:4000].rsplit(' ', 1)[0]} … ({len(packages)})"


def _init_containers(settings: PodSettings) -> list[KubeObject]:
    pipes = [f"--pipe={pipe_path(name)}" for name in pipe_names(settings.options)]
    init = {
        "name": "init",
        "image": settings.bundle,
        "args": ["unpack", *pipes, f"/{BUNDLE_ROOT}", WORKSPACE],
        "securityContext": preparing_security(),
        "resources": resource_requests(cpu="1", memory="2Gi", disk="1Gi"),
        "volumeMounts": _mounts("workspace", *(["pipes"] if pipes else [])),
    }
    containers = [init]
    options = settings.options
    if options.src_bucket is not None:
        words = ["fetch", *_agent_words(settings, options.src_bucket), "--", *settings.wanted]
        containers.append(
            {
                "name": "fetch-packages",
                "args": container_words(words),
                "securityContext": preparing_security(),
                **_transfer_fields(settings),
                "volumeMounts": [*_mounts("workspace"), *_identity_mounts(settings)],
            }
        )
    if options.cache_bundle is not None:
        containers.append(
            {
                "name": "populate-cache",
                "image": options.cache_bundle,
                "args": ["unpack", f"/{BUNDLE_ROOT}", CACHE],
                "securityContext": preparing_security(),
                "volumeMounts": _mounts("cache"),
            }
        )
    return containers


def _build_container(settings: PodSettings) -> KubeObject:
    options = settings.options
    container: KubeObject = {
        "name": BUILD,
        "image": options.sdk_image,
        "workingDir": WORKSPACE,
        "command": container_words(settings.script.command(*settings.targets)),
        "resources": resource_requests(cpu=options.cpu, memory=options.ram, disk=options.disk),
        **builder_fields(_TMP, confined=options.confined, variables=proxy_variables(options)),
        "volumeMounts": [*_mounts("workspace", "cache"), {"name": "tmp", "mountPath": _TMP}],
    }
    if pipe_names(options):
        container["volumeMounts"] += _mounts("pipes", read_only=True)
    if options.key_name is not None:
        container["volumeMounts"] += [
            {"name": "melange-key", "mountPath": KEY_MOUNT, "readOnly": True},
            {"name": "key", "mountPath": KEY_DIRECTORY},
        ]
    return container


def pipe_names(options: PodOptions) -> list[str]:
    """Return the names of the containers that wait for the end of the build, and of their pipes."""
    return [name for name, is_there in ((UPLOAD, options.bucket), (OUT, options.out)) if is_there]


def pipe_path(name: str) -> str:
    """Return the path of the pipe for a container that waits for the end of the build."""
    return f"{PIPES}/{name}"


def _agent_words(settings: PodSettings, bucket: Bucket | None = None) -> list[str]:
    words = [f"--arch={settings.arch.apk}", f"--workspace={WORKSPACE}"]
    return words if bucket is None else [*words, f"--bucket={bucket}"]


def _agent_fields(settings: PodSettings, name: str) -> KubeObject:
    """Return what the containers have that look at what the build wrote."""
    return {
        "name": name,
        "image": settings.bundle,
        "securityContext": agent_security(),
    }


def _upload_container(settings: PodSettings, bucket: Bucket) -> KubeObject:
    words = ["upload", *_agent_words(settings, bucket), *_waiting_words(UPLOAD)]
    mounts = [*_mounts("workspace", "pipes", read_only=True), *_mounts("agent")]
    if settings.options.key_name is not None:
        words += [f"--key={MOUNTED_KEY}", f"--public-key={_public_key(settings)}"]
        mounts.append({"name": "melange-key", "mountPath": KEY_MOUNT, "readOnly": True})
    return {
        **_agent_fields(settings, UPLOAD),
        "args": container_words(words),
        **_transfer_fields(settings),
        "volumeMounts": [*mounts, *_identity_mounts(settings)],
    }


def _transfer_fields(settings: PodSettings) -> KubeObject:
    """Return what both containers that move packages have."""
    container: KubeObject = {
        "image": settings.bundle,
        "resources": resource_requests(cpu="100m", memory="256Mi", disk="64Mi"),
    }
    if settings.options.bucket_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": settings.options.bucket_secret}}]
    own = settings.identity.environment if settings.identity is not None else []
    return {**container, **environment_fields([*proxy_variables(settings.options), *own])}


def _identity_mounts(settings: PodSettings) -> list[KubeObject]:
    return settings.identity.mounts if settings.identity is not None else []


def _out_container(settings: PodSettings) -> KubeObject:
    words = [
        "serve",
        *_agent_words(settings),
        *_waiting_words(OUT),
        f"--run={settings.run}",
        f"--log-directory={SCRIPT_STATE.replace(_TMP, _SHARED_TMP)}",
        f"--public-key={_public_key(settings)}",
        f"--port={OUT_PORT}",
        f"--hold={OUT_SECONDS}",
    ]
    # The bundle's image is on the node already, so this container starts with the build.
    return {
        **_agent_fields(settings, OUT),
        "args": container_words(words),
        "ports": [{"containerPort": OUT_PORT}],
        "resources": resource_requests(cpu="50m", memory="64Mi", disk="16Mi"),
        "volumeMounts": [
            *_mounts("workspace", "tmp", "pipes", read_only=True),
            *_mounts("agent"),
        ],
    }


def _waiting_words(name: str) -> list[str]:
    return [f"--pipe={pipe_path(name)}", f"--state={_AGENT_STATE}/{name}"]


def _public_key(settings: PodSettings) -> str:
    return f"{settings.key.rpartition('/')[2]}.pub"


def _volumes(settings: PodSettings) -> list[KubeObject]:
    volumes: list[KubeObject] = [
        {"name": name, "emptyDir": {}} for name in ("workspace", "cache", "tmp")
    ]
    if pipe_names(settings.options):
        volumes += [{"name": name, "emptyDir": {}} for name in ("pipes", "agent")]
    if settings.options.key_name is not None:
        # https://secrets-store-csi-driver.sigs.k8s.io/getting-started/usage
        csi = {
            "driver": settings.options.csi_driver,
            "readOnly": True,
            "volumeAttributes": {"secretProviderClass": SECRET_PROVIDER_CLASS},
        }
        memory = {"medium": "Memory", "sizeLimit": "1Mi"}
        volumes += [{"name": "melange-key", "csi": csi}, {"name": "key", "emptyDir": memory}]
    if settings.identity is not None:
        volumes += settings.identity.volumes
    return volumes


_mounts = partial(
    volume_mounts,
    {
        "workspace": WORKSPACE,
        "cache": CACHE,
        "tmp": _SHARED_TMP,
        "pipes": PIPES,
        "agent": _AGENT_STATE,
    },
)
