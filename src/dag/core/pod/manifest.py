"""The Pod that builds, as the dict that is posted: settings and digests in, manifest out.

What `--create=false` prints is this dict, so nothing may be added to it later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dag.core.arch import Arch
from dag.core.build.scripts import KEY, OUT_PORT, STATE, copy_script, serve_script
from dag.core.image.layers import ROOT
from dag.core.kube.containers import container_words
from dag.core.kube.objects import KubeObject
from dag.core.shell import ShellScript
from dag.core.store.buckets import Bucket, Places, fetch_script, upload_script

WORKSPACE = "/workspace"
CACHE = "/var/cache/melange"
CSI_DRIVER = "secrets-store.csi.k8s.io"
KEY_MOUNT = "/var/secrets"
KEY_FILE = "melange.rsa"
MOUNTED_KEY = f"{KEY_MOUNT}/{KEY_FILE}"
KEY_DIRECTORY = "/dag-key"
"""On memory, and in the build's container alone."""
_TMP = "/tmp"  # noqa: S108
_SHARED_TMP = "/dag-tmp"
"""Where other containers have the build's /tmp, beside one of their own."""
_PLACES = Places(WORKSPACE, STATE.replace(_TMP, _SHARED_TMP))
SECRET_PROVIDER_CLASS = "melange-key"  # noqa: S105  # a name
RUN_LABEL = "dag/run"
ARCH_LABEL = "dag/arch"
BUILD = "build"
OUT = "out"
UPLOAD = "upload"
OURS = frozenset({"init", "fetch-packages", "populate-cache", BUILD, OUT, UPLOAD})
"""Containers that are in the manifest; an admission webhook may add others."""

# Of a pod without privilege. Any that is not root will do: bubblewrap makes a user namespace itself.
_BUILDER = 1000
# For what is built when somebody ends the pod to be uploaded, too.
_UPLOAD_GRACE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """Everything that a Pod depends on; quantities as Kubernetes writes them."""

    run: str
    """The run's id: lower-case hexadecimal."""
    namespace: str
    arch: Arch
    bundle: str
    """Image of the definitions, by digest."""
    sdk_image: str
    script: ShellScript
    """The build script; its further arguments are `targets`."""
    targets: Sequence[str]
    packages: Sequence[str]
    """What was asked for, for people who read the Pod; empty is everything."""
    version: str
    cpu: str = "1"
    ram: str = "2Gi"
    disk: str = "1Gi"
    service_account: str = "default"
    timeout: float | None = None
    """Seconds after which Kubernetes ends the Pod."""
    cache_bundle: str | None = None
    out: bool = False
    transfer_image: str = ""
    source: Bucket | None = None
    """Where packages are fetched from first: the files of `wanted`."""
    wanted: Sequence[str] = ()
    target: Bucket | None = None
    """Where packages are uploaded."""
    bucket_secret: str | None = None
    """A Secret whose entries become variables of what transfers; else it has the pod's identity."""
    key_name: str | None = None
    """Of the key that the CSI driver mounts; None is a throwaway key."""
    csi_driver: str = CSI_DRIVER
    confined: bool = False
    """No privilege: a user namespace, and nobody in it is root."""
    node_arch: Arch | None = None
    """Of the node and of the images on it, if it only emulates `arch`."""

    @property
    def node(self) -> Arch:
        """The architecture of the node."""
        return self.node_arch or self.arch

    def images(self) -> list[str]:
        """Name the images that are not of our own making, as they were given."""
        transfers = self.source is not None or self.target is not None
        named = (self.sdk_image, self.cache_bundle, self.transfer_image if transfers else None)
        return [image for image in named if image]

    def pinned(self, digests: Mapping[str, str]) -> PodSettings:
        """Name each image as `digests` has it."""
        cache = self.cache_bundle
        return replace(
            self,
            sdk_image=digests[self.sdk_image],
            cache_bundle=digests[cache] if cache else None,
            transfer_image=digests.get(self.transfer_image, self.transfer_image),
        )


def key_path(name: str | None) -> str:
    """Give where the build finds its signing key: `melange.rsa` in the workspace, or the mounted."""
    return KEY if name is None else f"{KEY_DIRECTORY}/{name}.rsa"


def pod(settings: PodSettings) -> KubeObject:
    """Describe the Pod of one build."""
    spec: KubeObject = {
        "restartPolicy": "Never",
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "nodeSelector": {"kubernetes.io/arch": settings.node.kubernetes},
        "initContainers": _init_containers(settings),
        "containers": [_build_container(settings)],
        "volumes": _volumes(settings),
    }
    if settings.confined:
        spec["hostUsers"] = False
        spec["securityContext"] = {"runAsUser": _BUILDER, "runAsGroup": _BUILDER}
    if settings.node.kubernetes == "arm64":
        # https://cloud.google.com/kubernetes-engine/docs/how-to/prepare-arm-workloads-for-deployment
        spec["tolerations"] = [
            {
                "key": "kubernetes.io/arch",
                "operator": "Equal",
                "value": "arm64",
                "effect": "NoSchedule",
            }
        ]
    if settings.timeout is not None:
        spec["activeDeadlineSeconds"] = max(1, round(settings.timeout))
    if settings.out:
        spec["containers"].append(_out_container(settings))
    if settings.target is not None:
        spec["terminationGracePeriodSeconds"] = _UPLOAD_GRACE
        spec["containers"].append(_upload_container(settings, settings.target))
    return {
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
                "dag/packages": _packages(settings.packages),
                "dag/version": settings.version,
                "kubectl.kubernetes.io/default-container": BUILD,
            },
        },
        "spec": spec,
    }


def _packages(packages: Sequence[str]) -> str:
    # Annotations hold 256 KiB in all; thousands of names would tell nobody anything.
    if not packages:
        return "all"
    text = " ".join(packages)
    return text if len(text) <= 4096 else f"{text[:4000].rsplit(' ', 1)[0]} … ({len(packages)})"


def _init_containers(settings: PodSettings) -> list[KubeObject]:
    init = {
        "name": "init",
        "image": settings.bundle,
        "command": copy_script(f"/{ROOT}", WORKSPACE).command(),
        "resources": _requests(cpu="1", memory="2Gi", disk="1Gi"),
        "volumeMounts": _mounts("workspace"),
    }
    containers = [init]
    if settings.source is not None:
        script = fetch_script(_PLACES, settings.source, settings.arch)
        containers.append(
            {
                "name": "fetch-packages",
                "command": container_words(script.command(*settings.wanted)),
                **_transfer(settings, settings.source),
            }
        )
    if settings.cache_bundle is not None:
        containers.append(
            {
                "name": "populate-cache",
                "image": settings.cache_bundle,
                "command": copy_script(f"/{ROOT}", CACHE).command(),
                "volumeMounts": _mounts("cache"),
            }
        )
    return containers


def _build_container(settings: PodSettings) -> KubeObject:
    container: KubeObject = {
        "name": BUILD,
        "image": settings.sdk_image,
        "workingDir": WORKSPACE,
        "command": container_words(settings.script.command(*settings.targets)),
        "resources": _requests(cpu=settings.cpu, memory=settings.ram, disk=settings.disk),
        "securityContext": {"privileged": True},
        "volumeMounts": [*_mounts("workspace", "cache"), {"name": "tmp", "mountPath": _TMP}],
    }
    if settings.confined:
        # bubblewrap mounts a /proc of its own, which a masked one forbids, and needs the system
        # calls that make namespaces.
        container["securityContext"] = {
            "procMount": "Unmasked",
            "seccompProfile": {"type": "Unconfined"},
        }
        container["env"] = [{"name": "HOME", "value": _TMP}]
    if settings.key_name is not None:
        container["volumeMounts"] += [
            {"name": "melange-key", "mountPath": KEY_MOUNT, "readOnly": True},
            {"name": "key", "mountPath": KEY_DIRECTORY},
        ]
    return container


def _upload_container(settings: PodSettings, bucket: Bucket) -> KubeObject:
    script = upload_script(_PLACES, bucket, settings.arch, settings.run)
    return {
        "name": UPLOAD,
        "command": container_words(script.command()),
        **_transfer(settings, bucket),
    }


def _transfer(settings: PodSettings, bucket: Bucket) -> KubeObject:
    """Give what both containers have that move packages."""
    environment = bucket.environment(own_identity=settings.bucket_secret is None)
    container: KubeObject = {
        "image": settings.transfer_image,
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": _requests(cpu="100m", memory="256Mi", disk="64Mi"),
        "volumeMounts": _mounts("workspace", "tmp"),
    }
    if settings.bucket_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": settings.bucket_secret}}]
    return container


def _out_container(settings: PodSettings) -> KubeObject:
    public_key = f"{key_path(settings.key_name).rpartition('/')[2]}.pub"
    script = serve_script(WORKSPACE, settings.run, public_key, state=_PLACES.state)
    # The bundle's image is on the node already, so this container starts with the build.
    return {
        "name": OUT,
        "image": settings.bundle,
        "command": container_words(script.command()),
        "ports": [{"containerPort": OUT_PORT}],
        "resources": _requests(cpu="50m", memory="64Mi", disk="16Mi"),
        "volumeMounts": _mounts("workspace", "tmp"),
    }


def _volumes(settings: PodSettings) -> list[KubeObject]:
    volumes: list[KubeObject] = [
        {"name": name, "emptyDir": {}} for name in ("workspace", "cache", "tmp")
    ]
    if settings.key_name is not None:
        # https://secrets-store-csi-driver.sigs.k8s.io/getting-started/usage
        csi = {
            "driver": settings.csi_driver,
            "readOnly": True,
            "volumeAttributes": {"secretProviderClass": SECRET_PROVIDER_CLASS},
        }
        memory = {"medium": "Memory", "sizeLimit": "1Mi"}
        volumes += [{"name": "melange-key", "csi": csi}, {"name": "key", "emptyDir": memory}]
    return volumes


def _requests(*, cpu: str, memory: str, disk: str) -> KubeObject:
    return {"requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": disk}}


def _mounts(*volumes: str) -> list[KubeObject]:
    paths: Mapping[str, str] = {"workspace": WORKSPACE, "cache": CACHE, "tmp": _SHARED_TMP}
    return [{"name": name, "mountPath": paths[name]} for name in volumes]
