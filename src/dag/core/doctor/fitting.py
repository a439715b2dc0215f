"""Judges whether a node has room for a Pod, by the scheduler's rules that depend on the Pod alone.

https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from dag.core.doctor.checks import Finding, Status, ok
from dag.core.kube.objects import KubeView
from dag.core.pod.nodes import obstacle
from dag.core.units import amount

Amounts = dict[str, Decimal]

_WORDS = {"cpu": "CPUs", "memory": "GiB of memory", "ephemeral-storage": "GiB of disk"}
_GIB = Decimal(1 << 30)


def requests(spec: KubeView) -> Amounts:
    """Return what a Pod asks of its node: CPUs, and bytes of the rest.

    Containers run together, init containers before them and one at a time, but for those that go on
    beside what follows (`restartPolicy: Always`).
    https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/753-sidecar-containers
    """
    beside: Amounts = defaultdict(Decimal)
    most: Amounts = defaultdict(Decimal)
    for container in spec.get("initContainers") or ():
        asked = _requested_amounts(container)
        if container.get("restartPolicy") == "Always":
            _add(beside, asked)
            asked = {}
        for name in {**beside, **asked}:
            most[name] = max(most[name], beside[name] + asked.get(name, Decimal(0)))
    for container in spec["containers"]:
        _add(beside, _requested_amounts(container))
    total = {name: max(most[name], beside[name]) for name in {**most, **beside}}
    _add(total, _amounts(spec.get("overhead") or {}))
    return total


def judge(spec: KubeView, nodes: Sequence[KubeView], pods: Iterable[KubeView] | None) -> Finding:
    """Judge whether a node can take a Pod now; `pods` are all pods, None if they may not be listed.

    None of what is wrong here stops a build where a pool of nodes scales, which the API does not
    tell; so it is a warning.
    """
    arch = spec["nodeSelector"]["kubernetes.io/arch"]
    asked = requests(spec)
    fitting = [node for node in nodes if obstacle(spec, node) is None]
    if not fitting:
        return _none(spec, nodes, arch)
    large = [node for node in fitting if _holds(_allocatable(node), asked)]
    if not large:
        return Finding(
            Status.WARNING,
            f"no {arch} node is large enough, even when idle: the pod asks for {_short(fitting, asked)}",
            "ask for less with --cpu, --ram and --disk, or have a pool of larger nodes that scales",
        )
    if pods is None:
        return ok(f"{_names(large)} {_are(large)} large enough; how busy may not be read")
    free = _free(large, pods)
    having = [node for node in large if _holds(free[_name(node)], {**asked, "pods": Decimal(1)})]
    if not having:
        return Finding(
            Status.WARNING,
            f"{_names(large)} {_are(large)} large enough, but busy now: the pod would wait",
            "see what runs there with kubectl describe nodes, or wait longer with --pending-timeout",
        )
    return ok(f"{_names(having)} {'has' if len(having) == 1 else 'have'} room now")


def _none(spec: KubeView, nodes: Sequence[KubeView], arch: str) -> Finding:
    fix = f"add {arch} nodes, or have a pool of them that scales from zero"
    same = [
        node
        for node in nodes
        if (node["metadata"].get("labels") or {}).get("kubernetes.io/arch") == arch
    ]
    if not same:
        return Finding(Status.WARNING, f"no node is {arch} now: a pool must scale from zero", fix)
    why = ", ".join(f"{_name(node)} ({obstacle(spec, node)})" for node in same[:3])
    more = f" and {len(same) - 3} more" if len(same) > 3 else ""
    return Finding(Status.WARNING, f"no {arch} node takes the pod now: {why}{more}", fix)


def _free(nodes: Sequence[KubeView], pods: Iterable[KubeView]) -> dict[str, Amounts]:
    free = {_name(node): _allocatable(node) for node in nodes}
    for pod in pods:
        left = free.get(pod["spec"].get("nodeName", ""))
        if left is None or pod["status"].get("phase") in ("Succeeded", "Failed"):
            continue
        for name, value in {**requests(pod["spec"]), "pods": Decimal(1)}.items():
            if name in left:
                left[name] -= value
    return free


def _short(nodes: Sequence[KubeView], asked: Amounts) -> str:
    """Return what no node has enough of, with the most that one has."""
    most = {name: max(_allocatable(node).get(name, Decimal(0)) for node in nodes) for name in asked}
    short = [name for name in asked if most[name] < asked[name]] or sorted(asked)
    return ", ".join(
        f"{_words(name, asked[name])} and the largest has {_words(name, most[name])}"
        for name in short
    )


def _words(name: str, value: Decimal) -> str:
    shown = value if name == "cpu" else value / _GIB
    return f"{shown.quantize(Decimal('0.1')).normalize():f} {_WORDS.get(name, name)}"


def _holds(has: Amounts, asked: Amounts) -> bool:
    return all(has.get(name, Decimal(0)) >= value for name, value in asked.items() if value)


def _allocatable(node: KubeView) -> Amounts:
    return _amounts(node.get("status", {}).get("allocatable") or {})


def _requested_amounts(container: KubeView) -> Amounts:
    resources = container.get("resources") or {}
    # A limit without a request is one, too.
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _amounts(written: Mapping[str, str]) -> Amounts:
    return {name: amount(str(value)) for name, value in written.items()}


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total.get(name, Decimal(0)) + value


def _name(node: KubeView) -> str:
    return str(node["metadata"]["name"])


def _names(nodes: Sequence[KubeView]) -> str:
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"{_name(nodes[0])}{more}"


def _are(nodes: Sequence[KubeView]) -> str:
    return "is" if len(nodes) == 1 else "are"
