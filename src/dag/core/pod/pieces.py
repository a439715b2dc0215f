"""The parts that the Pods of builds have in common, whether one builds everything or one unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dag.core.build.proxies import ProxyOptions, named_proxy
from dag.core.kube.objects import KubeObject

AGENT_USER = 65532
"""User of the agent's containers beside the build. It is neither root nor the build's."""
_BUILDER = 0
"""User of a pod without privilege, who is root in its user namespace and nobody on the node.

To steps of any other user melange gives one single id, and what they give to root or to others fails,
or comes out as another package where they pass over that.
"""
BUILD_CAPABILITIES = ("DAC_OVERRIDE", "FOWNER", "SETFCAP", "SETGID", "SETUID")
"""What this root may do there beyond other users. On the node that is nothing.

Of what steps gave to other users, melange reads and removes all; with the sticky bit, that takes FOWNER.
The last three map the ids of a step's own user namespace, whose root has all capabilities: so it is
there that chown works. https://man7.org/linux/man-pages/man7/user_namespaces.7.html
"""


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


def builder_fields(
    home: str, *, confined: bool, variables: Sequence[KubeObject] = ()
) -> KubeObject:
    """Return what the container that builds may do, and its environment."""
    if not confined:
        return {"securityContext": {"privileged": True}, **environment_fields(variables)}
    # bubblewrap mounts a /proc of its own, which a masked one forbids, and needs the system calls
    # that make namespaces.
    return {
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": [*BUILD_CAPABILITIES]},
            "procMount": "Unmasked",
            "seccompProfile": {"type": "Unconfined"},
        },
        **environment_fields([{"name": "HOME", "value": home}, *variables]),
    }


def environment_fields(variables: Sequence[KubeObject]) -> KubeObject:
    """Return the environment of a container, besides what its image has."""
    return {"env": [*variables]} if variables else {}


_IN_CLUSTER = (
    *("localhost", "127.0.0.1", "::1", "$(KUBERNETES_SERVICE_HOST)", ".svc", ".cluster.local"),
    *("169.254.169.254", "169.254.170.23", "metadata.google.internal"),
)
"""What a pod reaches by itself: itself, the API server, services, and who says in a cloud who it is.

Kubernetes puts the API server's address in the place of its variable, which all containers have.
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables,
https://cloud.google.com/compute/docs/metadata/overview,
https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
"""


def proxy_variables(options: ProxyOptions) -> list[KubeObject]:
    """Return the variables by which the containers of a pod know their proxy."""
    named = named_proxy(options, _IN_CLUSTER)
    return [{"name": name, "value": value} for name, value in named.items()]


def agent_security() -> KubeObject:
    """Return the rights of the containers that look at what the build wrote."""
    return {
        "runAsUser": AGENT_USER,
        "runAsGroup": AGENT_USER,
        "runAsNonRoot": True,
        **preparing_security(),
    }


def preparing_security() -> KubeObject:
    """Return the rights of containers that lay out what the build reads, as its user, who is to own it.

    They have no capability, also where that is root of the node.
    """
    return {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def resource_requests(*, cpu: str, memory: str, disk: str) -> KubeObject:
    """Return the requests of a container."""
    return {"requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": disk}}
