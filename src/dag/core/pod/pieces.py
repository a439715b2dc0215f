"""The parts that the Pods of builds have in common, whether one builds everything or one unit."""

from __future__ import annotations

from collections.abc import Mapping

from dag.core.kube.objects import KubeObject

AGENT_USER = 65532
"""User of the agent's containers beside the build. It is neither root nor the build's."""
_BUILDER = 1000
"""User of a pod without privilege. Any but root will do: bubblewrap makes a user namespace itself."""


def volume_mounts(
    paths: Mapping[str, str], *volumes: str, read_only: bool = False
) -> list[KubeObject]:
    """Return the mounts of volumes at their paths; `paths` has these by the volumes' names."""
    more: KubeObject = {"readOnly": True} if read_only else {}
    return [{"name": name, "mountPath": paths[name], **more} for name in volumes]


def isolation_fields(*, confined: bool) -> KubeObject:
    """Return what of a Pod's spec takes all privilege from it, if it is `confined`."""
    if not confined:
        return {}
    return {
        "hostUsers": False,
        "securityContext": {"runAsUser": _BUILDER, "runAsGroup": _BUILDER},
    }


def builder_fields(home: str, *, confined: bool) -> KubeObject:
    """Return what the container that builds may do."""
    if not confined:
        return {"securityContext": {"privileged": True}}
    # bubblewrap mounts a /proc of its own, which a masked one forbids, and needs the system calls
    # that make namespaces.
    return {
        "securityContext": {
            "procMount": "Unmasked",
            "seccompProfile": {"type": "Unconfined"},
        },
        "env": [{"name": "HOME", "value": home}],
    }


def agent_security() -> KubeObject:
    """Return the rights of the containers that look at what the build wrote."""
    return {
        "runAsUser": AGENT_USER,
        "runAsGroup": AGENT_USER,
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def resource_requests(*, cpu: str, memory: str, disk: str) -> KubeObject:
    """Return the requests of a container."""
    return {"requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": disk}}
