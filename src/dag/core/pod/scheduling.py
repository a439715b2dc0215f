"""What brings Pods to their nodes: the flags for that, and the fields of a Pod's spec."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from dag.core.arch import Arch
from dag.core.flags import Options, flag, flag_group, list_flag, switch
from dag.core.kinds import NAME, ValueKind
from dag.core.kube.objects import KubeObject
from dag.errors import UsageError

ARCH_OF_NODE = "kubernetes.io/arch"
_WORD = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_KEY = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_WORD}")
_VALUE = re.compile(rf"(?:{_WORD})?")
_SPOT = {
    "cloud.google.com/gke-spot": "true",
    "kubernetes.azure.com/scalesetpriority": "spot",
    "eks.amazonaws.com/capacityType": "SPOT",
    "karpenter.sh/capacity-type": "spot",
}
"""The labels of nodes that a cloud may take back. Taints that keep Pods from them are called alike.

https://cloud.google.com/kubernetes-engine/docs/concepts/spot-vms,
https://learn.microsoft.com/azure/aks/spot-node-pool,
https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html,
https://karpenter.sh/docs/concepts/scheduling/
"""
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class NodeLabel:
    """A label that a node must have."""

    name: str
    value: str

    @classmethod
    def parse(cls, text: str) -> NodeLabel:
        """Read `NAME=VALUE`.

        Raises:
            UsageError: this is no label, or one that another flag sets.

        """
        name, equals, value = text.partition("=")
        if not (equals and _KEY.fullmatch(name) and _VALUE.fullmatch(value)):
            raise UsageError(
                f"{text!r} is no label of a node",
                hint="write it like pool=builds; `kubectl get nodes --show-labels` lists them",
            )
        if name == ARCH_OF_NODE:
            raise UsageError(f"{name} follows from --arch, or from --node-arch")
        return cls(name, value)

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint of nodes that is no obstacle."""

    key: str
    value: str | None = None
    """None is any."""
    effect: str = ""
    """Empty is any."""

    @classmethod
    def parse(cls, text: str) -> Toleration:
        """Read `KEY[=VALUE][:EFFECT]`, which is how `kubectl taint` takes it.

        Raises:
            UsageError: this is no taint.

        """
        taint, colon, effect = text.partition(":")
        key, equals, value = taint.partition("=")
        right = _KEY.fullmatch(key) and _VALUE.fullmatch(value)
        if not right or (colon and effect not in _EFFECTS):
            raise UsageError(
                f"{text!r} is no taint of a node",
                hint="write it like pool=builds:NoSchedule, or pool for any value and effect; effects"
                f" are {', '.join(_EFFECTS)}",
            )
        return cls(key, value if equals else None, effect)

    def __str__(self) -> str:
        value = "" if self.value is None else f"={self.value}"
        return f"{self.key}{value}" + (f":{self.effect}" if self.effect else "")

    def fields(self) -> KubeObject:
        """Return the toleration as a Pod's spec has it."""
        fields: KubeObject = {"key": self.key, "operator": "Exists"}
        if self.value is not None:
            fields |= {"operator": "Equal", "value": self.value}
        return {**fields, "effect": self.effect} if self.effect else fields


@flag_group
class SchedulingOptions(Options):
    """The nodes that take Pods, how important these are, and the credentials for their images."""

    heading: ClassVar[str] = "Scheduling"

    node_labels: tuple[NodeLabel, ...] = list_flag(
        ValueKind(metavar="NAME=VALUE", parse=NodeLabel.parse),
        "--node-selector",
        "Use only nodes that have this label.",
    )
    tolerations: tuple[Toleration, ...] = list_flag(
        ValueKind(metavar="KEY[=VALUE][:EFFECT]", parse=Toleration.parse),
        "--toleration",
        "Use nodes with this taint, too.",
    )
    spot: bool = switch(
        "--spot", "Use nodes that the cloud may take back, too, and these rather than others."
    )
    priority_class: str | None = flag(
        NAME, "--priority-class", "Give pods this priority class.", shown="the cluster's default"
    )
    pull_secrets: tuple[str, ...] = list_flag(
        NAME,
        "--image-pull-secret",
        "Have nodes pull images with this Secret, and not with those of the service account.",
    )


def scheduling_fields(arch: Arch, options: SchedulingOptions) -> KubeObject:
    """Return what of a Pod's spec brings it to a node of an architecture, as the flags say."""
    labels = {one.name: one.value for one in options.node_labels}
    tolerations = [one.fields() for one in options.tolerations]
    if arch.kubernetes == "arm64":
        # https://cloud.google.com/kubernetes-engine/docs/how-to/prepare-arm-workloads-for-deployment
        tolerations.insert(0, Toleration(ARCH_OF_NODE, "arm64", "NoSchedule").fields())
    if options.spot:
        tolerations += [Toleration(key, value, "").fields() for key, value in _SPOT.items()]
    fields: KubeObject = {"nodeSelector": {ARCH_OF_NODE: arch.kubernetes, **labels}}
    if tolerations:
        fields["tolerations"] = tolerations
    if options.spot:
        rather = [
            {
                "weight": 100,
                "preference": {
                    "matchExpressions": [{"key": key, "operator": "In", "values": [value]}]
                },
            }
            for key, value in _SPOT.items()
        ]
        fields["affinity"] = {
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": rather}
        }
    if options.priority_class is not None:
        fields["priorityClassName"] = options.priority_class
    if options.pull_secrets:
        fields["imagePullSecrets"] = [{"name": name} for name in options.pull_secrets]
    return fields
