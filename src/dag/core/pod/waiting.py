"""Says why a Pod waits, in the words of whoever keeps it waiting: scheduler, registry, node."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dag.core.kube.objects import KubeView
from dag.core.pod.status import containers, scheduling


@dataclass(frozen=True, slots=True)
class Waiting:
    """The reason why a Pod has not started."""

    message: str
    hopeless: bool = False
    """Whether it is in vain to wait for it to heal."""
    hint: str | None = None


def event_time(event: KubeView) -> str:
    """Return when an Event was last seen, as text that sorts."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


# Reasons of a waiting container: https://pkg.go.dev/k8s.io/kubernetes/pkg/kubelet/images#pkg-variables
_PULL = frozenset(
    {
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_NEVER = frozenset({"InvalidImageName", "CreateContainerConfigError", "ErrImageNeverPull"})
_ORDINARY = frozenset({"", "ContainerCreating", "PodInitializing"})
"""The reasons of a container whose turn has not come."""
# What kubelets say while they cannot read a Secret or a ConfigMap yet that is there.
_PASSING = re.compile(r"failed to sync|timed out|deadline exceeded|connection refused")
_MISSING = re.compile(
    r"not found|manifest unknown|name unknown|repository does not exist", re.IGNORECASE
)
# An index that has other architectures, as containerd and CRI-O say it.
_FOREIGN = re.compile(r"no match for platform|no image found in \S+ \S+ for architecture")
# What kubelet and containerd put before the cause; the first comes and goes with every attempt.
_PULL_PREFIXES = re.compile(
    r"(?:Back-off pulling image \"[^\"]*\"(?:: ErrImagePull: )?|rpc error: code = \w+ desc = "
    r"|failed to pull and unpack image \"[^\"]*\": |Failed to pull image \"[^\"]*\": )*"
)
_PULL_HINTS = (
    (
        re.compile(r"toomanyrequests|429 Too Many|rate limit", re.IGNORECASE),
        "that registry lets the node pull no more for now: wait, log in there, or use a copy",
    ),
    (
        re.compile(r"x509: |certificate"),
        "the container runtime of the node must trust the registry's certificate",
    ),
    (
        re.compile(r"server gave HTTP response to HTTPS client"),
        "the container runtime of the node must be told that this registry speaks plain http",
    ),
    (
        re.compile(r"no such host|dial tcp|i/o timeout"),
        "does the network of the node lead there? --pull-repo is how nodes know the registry",
    ),
)
"""What to do about a pull that may heal, by words of its message; the first that fits."""
_DENIED = re.compile(r"unauthorized|denied|forbidden|no basic auth", re.IGNORECASE)
# How kubelets say that they, or their container runtime, know no user namespaces:
# https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/userns/userns_manager.go
_NO_USER_NAMESPACE = re.compile(r"user ?namespaces?|hostUsers", re.IGNORECASE)
USER_NAMESPACES = (
    "nodes need containerd 2.0, runc 1.2 and Linux 6.3; or build with --isolation privileged"
)
"""The versions that give a Pod a user namespace, and what to do without them."""
_EVENTS = {
    # The words match those of the PodScheduled condition, which says the same a moment later.
    "FailedScheduling": "not scheduled",
    "FailedMount": "FailedMount",
    "FailedAttachVolume": "FailedAttachVolume",
    "FailedCreatePodSandBox": "FailedCreatePodSandBox",
}


def why_waiting(pod: KubeView, events: Sequence[KubeView] = ()) -> Waiting | None:
    """Return why no container of the Pod has started, or None if there is nothing to say yet.

    `events` are the Pod's own, oldest first.
    """
    for name, container in containers(pod).items():
        waiting = container.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        detail = waiting.get("message", "")
        image = container.get("image", "")
        if reason in _PULL:
            detail = _PULL_PREFIXES.sub("", detail, count=1) or _failed_pull(events)
            hint, hopeless = _about_pull(detail)
            text = f"container {name}: cannot pull {image}: {detail or reason}"
            return Waiting(text, hopeless=hopeless, hint=hint)
        if reason in _NEVER or (detail and reason not in _ORDINARY):
            hopeless = reason in _NEVER and not _PASSING.search(detail)
            return Waiting(f"container {name}: {reason}: {detail}", hopeless=hopeless)
    scheduled = scheduling(pod)
    if scheduled.get("status") == "False":
        return Waiting(f"not scheduled: {scheduled.get('message') or scheduled.get('reason')}")
    for event in reversed(events):
        if event.get("reason") == "FailedScheduling" and scheduled.get("status") == "True":
            continue  # that is past
        if event.get("reason") in _EVENTS:
            text = f"{_EVENTS[event['reason']]}: {event.get('message', '').strip()}"
            if event["reason"] == "FailedCreatePodSandBox" and _NO_USER_NAMESPACE.search(text):
                return Waiting(text, hopeless=True, hint=USER_NAMESPACES)
            return Waiting(text)
    return None


def how_far(pod: KubeView, events: Sequence[KubeView] = ()) -> Waiting | None:
    """Return how far a Pod has come of which nobody says why it waits, or None if nothing is known.

    `events` are the Pod's own, oldest first.
    """
    node = pod["spec"].get("nodeName")
    if not node:
        hint = "does the cluster's scheduler run? kubectl get pods -n kube-system tells"
        return Waiting("no scheduler has looked at it", hint=hint)
    if not containers(pod):
        hint = f"does the kubelet of that node run? kubectl describe node {node} tells"
        return Waiting(f"node {node} has not taken it up", hint=hint)
    said = next((event for event in reversed(events) if event.get("message")), None)
    return Waiting(f"node {node} said last: {said['message'].strip()}") if said else None


def _about_pull(detail: str) -> tuple[str | None, bool]:
    """Return a hint at what may be wrong, and whether it is in vain to try again."""
    if _DENIED.search(detail):
        return "the node cannot read that repository", False
    if _FOREIGN.search(detail):
        return "that image is for other architectures than this node's", True
    if _MISSING.search(detail):
        return "is the name right, and does the image exist?", True
    return next((hint for words, hint in _PULL_HINTS if words.search(detail)), None), False


def _failed_pull(events: Sequence[KubeView]) -> str:
    # Kubelets before 1.32 do not repeat the cause while they wait for the next attempt.
    messages = (str(event.get("message", "")) for event in reversed(events))
    failed = next((text for text in messages if text.startswith("Failed to pull image")), "")
    return _PULL_PREFIXES.sub("", failed, count=1)
