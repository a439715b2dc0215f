"""The Pod that builds, as the dict that is posted: settings and digests in, manifest out.

What `--create=false` prints is this dict, so nothing may be added to it later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dag.core.arch import Arch
from dag.core.bundle import ROOT
from dag.core.scripts import OUT_PORT, copy_out_script, serve_script

Manifest = dict[str, Any]
"""A Kubernetes object as JSON has it."""

WORKSPACE = "/workspace"
CACHE = "/var/cache/melange"
RUN_LABEL = "dag/run"
BUILD = "build"
OUT = "out"


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
    script: str
    """The build script; its positional parameters are `targets`."""
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


def pod(settings: PodSettings) -> Manifest:
    """Describe the Pod of one build."""
    spec: Manifest = {
        "restartPolicy": "Never",
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "nodeSelector": {"kubernetes.io/arch": settings.arch.kubernetes},
        "initContainers": _init_containers(settings),
        "containers": [_build_container(settings)],
        "volumes": [{"name": name, "emptyDir": {}} for name in ("workspace", "cache", "tmp")],
    }
    if settings.arch.kubernetes == "arm64":
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


def _init_containers(settings: PodSettings) -> list[Manifest]:
    init = {
        "name": "init",
        "image": settings.bundle,
        "command": ["sh", "-c", copy_out_script(f"/{ROOT}", WORKSPACE)],
        "resources": _requests(cpu="1", memory="2Gi", disk="1Gi"),
        "volumeMounts": _mounts("workspace"),
    }
    if settings.cache_bundle is None:
        return [init]
    populate = {
        "name": "populate-cache",
        "image": settings.cache_bundle,
        "command": ["sh", "-c", copy_out_script(f"/{ROOT}", CACHE)],
        "volumeMounts": _mounts("cache"),
    }
    return [init, populate]


def _build_container(settings: PodSettings) -> Manifest:
    return {
        "name": BUILD,
        "image": settings.sdk_image,
        "workingDir": WORKSPACE,
        "command": ["sh", "-c", settings.script, "dag", *settings.targets],
        "resources": _requests(cpu=settings.cpu, memory=settings.ram, disk=settings.disk),
        "securityContext": {"privileged": True},
        "volumeMounts": _mounts("workspace", "cache", "tmp"),
    }


def _out_container(settings: PodSettings) -> Manifest:
    # The bundle's image is on the node already, so this container starts with the build.
    return {
        "name": OUT,
        "image": settings.bundle,
        "command": ["sh", "-c", serve_script(WORKSPACE, settings.run)],
        "ports": [{"containerPort": OUT_PORT}],
        "resources": _requests(cpu="50m", memory="64Mi", disk="16Mi"),
        "volumeMounts": _mounts("workspace"),
    }


def _requests(*, cpu: str, memory: str, disk: str) -> Manifest:
    return {"requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": disk}}


def _mounts(*volumes: str) -> list[Manifest]:
    paths: Mapping[str, str] = {"workspace": WORKSPACE, "cache": CACHE, "tmp": "/tmp"}  # noqa: S108
    return [{"name": name, "mountPath": paths[name]} for name in volumes]
