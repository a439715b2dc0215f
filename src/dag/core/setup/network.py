"""The network that pods of builds reach, where the cluster's own network enforces policies."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

from dag.core.addresses import public_ranges
from dag.core.jobs.driver import DRIVER_LABEL
from dag.core.kinds import ValueKind
from dag.core.kube.objects import KubeObject
from dag.errors import UsageError

_NAME_SERVERS: KubeObject = {
    "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
}


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no range of addresses: {error}",
            hint="name one like 10.1.2.0/24, or one address like 10.1.2.3",
        ) from None


NETWORK = ValueKind(metavar="CIDR", parse=_network)


def signer_policy(namespace: str, reached: Sequence[str], *, outside: bool) -> KubeObject:
    """Return the policy for all pods in the namespace of a signer: nobody reaches them.

    They reach name servers and the ranges `reached`, and public addresses if their store is `outside`.
    """
    to = _outside(reached) if outside else _ranges(reached)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "dag-signer", "namespace": namespace},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            # Without any, nothing is reached; the API server leaves an empty list out.
            **({"egress": [_NAME_SERVERS, {"to": to}]} if to else {}),
        },
    }


def driver_policy(namespace: str) -> KubeObject:
    """Return the policy for the pods that drive builds: they reach what everybody does.

    A pod that has several policies may do what any of them permits.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "dag-driver", "namespace": namespace},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": DRIVER_LABEL, "operator": "Exists"}]},
            "policyTypes": ["Egress"],
            "egress": [{}],
        },
    }


def network_policy(namespace: str, reached: Sequence[str]) -> KubeObject:
    """Return the policy for all pods of `dag` in a namespace.

    They reach name servers, public addresses and the ranges `reached`, and nothing else: no metadata
    server, and no address of the cluster or of the network around it.
    https://kubernetes.io/docs/concepts/services-networking/network-policies/
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "dag", "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "dag"}},
            "policyTypes": ["Egress"],
            "egress": [_NAME_SERVERS, {"to": _outside(reached)}],
        },
    }


def _outside(reached: Sequence[str]) -> list[KubeObject]:
    public = public_ranges().items()
    blocks = [{"ipBlock": {"cidr": whole, "except": inside}} for whole, inside in public]
    return [*blocks, *_ranges(reached)]


def _ranges(reached: Sequence[str]) -> list[KubeObject]:
    return [{"ipBlock": {"cidr": one}} for one in reached]
