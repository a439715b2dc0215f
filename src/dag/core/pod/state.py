"""A Pod as the API shows it → what happened, in words.

The rules were measured on a real cluster, because the API does not say them outright:
an OOM kill of a child leaves reason OOMKilled beside the container's own exit code, even 0; a
deletion leaves 143 or 137 and no condition; an eviction for disk leaves reason Evicted; a lost node
leaves the phase Running for ever and a DisruptionTarget condition.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from dag.core.build.scripts import NOTHING, REFUSED
from dag.core.kube.objects import KubeView
from dag.core.pod.manifest import BUILD, OUT, UPLOAD


class Cause(Enum):
    """Why a build ended; `Ending.exit_code` follows from it."""

    DONE = auto()
    MAKE = auto()
    OOM_KILLED = auto()
    TIMEOUT = auto()
    EVICTED = auto()
    PREEMPTED = auto()
    NODE_LOST = auto()
    DELETED = auto()
    INIT = auto()
    START = auto()
    UPLOAD = auto()


_BUILD_CAUSES = frozenset({Cause.MAKE, Cause.OOM_KILLED, Cause.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Ending:
    """How a build ended, and what to do about it."""

    cause: Cause
    message: str
    hint: str | None = None
    container: str = BUILD
    """Whose log tells more."""

    @property
    def exit_code(self) -> int:
        """0 done, 1 the build's own fault, 3 the environment's."""
        if self.cause is Cause.DONE:
            return 0
        return 1 if self.cause in _BUILD_CAUSES else 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a Pod has not started; `hopeless` says that waiting cannot heal it."""

    message: str
    hopeless: bool = False
    hint: str | None = None


def containers(pod: KubeView) -> dict[str, KubeView]:
    """Give the status of each container by name, init containers first, in the Pod's order."""
    status = pod.get("status", {})
    listed = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    found = {container["name"]: container for container in listed}
    spec = pod["spec"]
    order = [*spec.get("initContainers", ()), *spec["containers"]]
    return {item["name"]: found[item["name"]] for item in order if item["name"] in found}


def has_started(container: KubeView) -> bool:
    """Tell whether the container runs or ran, so that it has a log."""
    state = container.get("state", {})
    terminated = state.get("terminated")
    return "running" in state or (terminated is not None and bool(terminated.get("containerID")))


def is_running(container: KubeView) -> bool:
    """Tell whether the container runs now."""
    return "running" in container.get("state", {})


def has_ended(container: KubeView) -> bool:
    """Tell whether the container ran and runs no more."""
    return "terminated" in container.get("state", {})


def is_working(pod: KubeView) -> bool:
    """Tell whether the Pod makes progress: its build has started, or an init container runs."""
    found = containers(pod)
    if has_started(found.get(BUILD, {})):
        return True
    return any(is_running(found.get(name, {})) for name in _steps(pod))


def _steps(pod: KubeView) -> list[str]:
    """Name the init containers that come before the build, without the sidecars among them."""
    init = pod["spec"].get("initContainers", ())
    return [item["name"] for item in init if item.get("restartPolicy") != "Always"]


def late(pod: KubeView) -> str | None:
    """Name the container that should have taken what was built, and has not started."""
    found = containers(pod)
    if has_ended(found.get(BUILD, {})):
        for container in pod["spec"]["containers"]:
            name = container["name"]
            if name in (UPLOAD, OUT) and "waiting" in found.get(name, {}).get("state", {}):
                return str(name)
    return None


def event_time(event: KubeView) -> str:
    """Give when an Event was last seen, as text that sorts."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


# Reasons of a waiting container: https://pkg.go.dev/k8s.io/kubernetes/pkg/kubelet/images#pkg-variables
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_NEVER = frozenset({"InvalidImageName", "CreateContainerConfigError", "ErrImageNeverPull"})
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
_DENIED = re.compile(r"unauthorized|denied|forbidden|no basic auth", re.IGNORECASE)
# How kubelets say that they, or their container runtime, know no user namespaces:
# https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/userns/userns_manager.go
_NO_USER_NAMESPACE = re.compile(r"user ?namespaces?|hostUsers", re.IGNORECASE)
USER_NAMESPACES = (
    "nodes need containerd 2.0, runc 1.2 and Linux 6.3; or build with --isolation privileged"
)
"""What gives a Pod a user namespace."""
_EVENTS = {
    # The words match those of the PodScheduled condition, which says the same a moment later.
    "FailedScheduling": "not scheduled",
    "FailedMount": "FailedMount",
    "FailedAttachVolume": "FailedAttachVolume",
    "FailedCreatePodSandBox": "FailedCreatePodSandBox",
}


def why_waiting(pod: KubeView, events: Sequence[KubeView] = ()) -> Waiting | None:
    """Say why no container of the Pod has started; None if there is nothing to say yet.

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
        if reason in _NEVER or (reason == "CreateContainerError" and detail):
            return Waiting(f"container {name}: {reason}: {detail}", hopeless=reason in _NEVER)
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Waiting(f"not scheduled: {condition.get('message') or condition.get('reason')}")
    for event in reversed(events):
        if event.get("reason") in _EVENTS:
            text = f"{_EVENTS[event['reason']]}: {event.get('message', '').strip()}"
            if event["reason"] == "FailedCreatePodSandBox" and _NO_USER_NAMESPACE.search(text):
                return Waiting(text, hopeless=True, hint=USER_NAMESPACES)
            return Waiting(text)
    return None


def _about_pull(detail: str) -> tuple[str | None, bool]:
    """Say what may be wrong, and whether it is in vain to try again."""
    if _DENIED.search(detail):
        return "the node cannot read that repository", False
    if _FOREIGN.search(detail):
        return "that image is for other architectures than this node's", True
    if _MISSING.search(detail):
        return "is the name right, and does the image exist?", True
    return None, False


def _failed_pull(events: Sequence[KubeView]) -> str:
    # Kubelets before 1.32 do not repeat the cause while they wait for the next attempt.
    messages = (str(event.get("message", "")) for event in reversed(events))
    failed = next((text for text in messages if text.startswith("Failed to pull image")), "")
    return _PULL_PREFIXES.sub("", failed, count=1)


def how_ended(pod: KubeView, *, deleted: bool = False, unstarted: str = "") -> Ending | None:
    """Say how the build ended; None while it goes on.

    `deleted` says that the Pod is gone from the API, `pod` being its last state seen; `unstarted`,
    why the `late` container is not waited for any longer.
    """
    disruption = _disruption(pod)
    if disruption is not None:
        return disruption
    status = pod.get("status", {})
    if status.get("reason") == "DeadlineExceeded":
        limit = pod["spec"].get("activeDeadlineSeconds")
        return Ending(Cause.TIMEOUT, f"the build took longer than --timeout ({limit} s)")
    if status.get("reason") == "Evicted":
        return Ending(
            Cause.EVICTED,
            f"the node evicted the pod: {status.get('message', '').strip()}",
            "ask for more with --disk or --ram, or use a larger node",
        )
    if status.get("phase") == "Failed" and status.get("reason") in ("NodeLost", "NodeShutdown"):
        return Ending(Cause.NODE_LOST, f"node {_node(pod)} went away: {status.get('message', '')}")
    found = containers(pod)
    for name in _steps(pod):
        ended = found.get(name, {}).get("state", {}).get("terminated")
        if ended and ended["exitCode"] != 0 and not _is_deletion(pod, ended, deleted=deleted):
            hint = _init_hint(name, ended)
            return Ending(Cause.INIT, f"container {name} failed: {_words(ended)}", hint, name)
    ended = found.get(BUILD, {}).get("state", {}).get("terminated")
    if ended is not None:
        ending = _build_ending(pod, ended, deleted=deleted)
        return _with_upload(pod, ending, deleted=deleted, unstarted=unstarted)
    return _without_build(pod, deleted=deleted)


def _without_build(pod: KubeView, *, deleted: bool) -> Ending | None:
    status = pod.get("status", {})
    if deleted:
        return Ending(Cause.DELETED, "somebody deleted the pod while it was building")
    if status.get("phase") not in ("Failed", "Succeeded"):
        return None
    if pod["metadata"].get("deletionTimestamp"):
        return Ending(Cause.DELETED, "somebody deleted the pod before it was building")
    words = status.get("message") or status.get("reason") or "no reason given"
    return Ending(Cause.START, f"the pod ended without a build: {words}")


def _with_upload(pod: KubeView, ending: Ending, *, deleted: bool, unstarted: str) -> Ending | None:
    """Join what became of the upload to how the build ended; None while it goes on."""
    uploads = any(container["name"] == UPLOAD for container in pod["spec"]["containers"])
    if deleted or not uploads or ending.cause is Cause.START:
        return ending
    ended = containers(pod).get(UPLOAD, {}).get("state", {}).get("terminated")
    if ended is None and not (unstarted and late(pod) == UPLOAD):
        return None
    if ended is not None and ended["exitCode"] == 0:
        return ending
    what = f"the upload failed: {_upload_words(ended) if ended else unstarted}"
    if ending.cause is not Cause.DONE:
        return replace(ending, message=f"{ending.message}; {what}")
    if ended is None:
        return Ending(Cause.UPLOAD, f"everything is built, but {what}")
    return Ending(
        Cause.UPLOAD,
        f"everything is built, but {what}",
        "may the pod's service account, or the Secret of --bucket-secret, write there?",
        UPLOAD,
    )


def _upload_words(ended: KubeView) -> str:
    return ended.get("message", "").strip() or _words(ended)


def _build_ending(pod: KubeView, ended: KubeView, *, deleted: bool) -> Ending:
    code = ended["exitCode"]
    if ended.get("reason") == "OOMKilled":
        return Ending(
            Cause.OOM_KILLED,
            f"the build was killed for want of memory (OOMKilled, {_memory(pod)})",
            "ask for more with --ram",
        )
    if ended.get("reason") in _UNSTARTABLE:
        return Ending(
            Cause.START,
            f"the build container could not start: {ended.get('message', '').strip()}",
            _SHELL_HINTS[BUILD],
        )
    if code == REFUSED and ended.get("message"):
        return Ending(Cause.START, f"the build did not begin: {ended['message'].strip()}")
    if code == 0:
        nothing = NOTHING in ended.get("message", "")
        hint = f"{NOTHING}: is that what its targets are for?" if nothing else None
        return Ending(Cause.DONE, "make ended with exit code 0", hint)
    if _is_deletion(pod, ended, deleted=deleted):
        return Ending(Cause.DELETED, "somebody deleted the pod while it was building")
    if code > 128 and code - 128 in _SIGNALS:
        name = _SIGNALS[code - 128]
        return Ending(Cause.MAKE, f"the build was ended by {name} (exit code {code})")
    return Ending(Cause.MAKE, f"make failed with exit code {code}")


_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}

# https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
_DISRUPTIONS = {
    "PreemptionByScheduler": (Cause.PREEMPTED, "the pod was preempted by one of higher priority"),
    "DeletionByTaintManager": (Cause.NODE_LOST, "node {node} stopped answering"),
    "EvictionByEvictionAPI": (Cause.EVICTED, "the pod was evicted (a drain of node {node}?)"),
    "DeletionByPodGC": (Cause.NODE_LOST, "node {node} no longer exists"),
    "TerminationByKubelet": (Cause.NODE_LOST, "node {node} shut down or ran out of resources"),
}


def _disruption(pod: KubeView) -> Ending | None:
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            reason = condition.get("reason", "")
            cause, words = _DISRUPTIONS.get(reason, (Cause.EVICTED, f"disrupted: {reason}"))
            message = condition.get("message", "").strip()
            return Ending(
                cause,
                words.format(node=_node(pod)) + (f": {message}" if message else ""),
                "nothing is wrong with the packages: run it again",
            )
    return None


def _is_deletion(pod: KubeView, ended: KubeView, *, deleted: bool) -> bool:
    """Tell whether a container ended because its Pod was being deleted, not by itself before."""
    if ended["exitCode"] == 0:
        return False
    asked = pod["metadata"].get("deletionTimestamp")
    if asked is None:
        return deleted and ended["exitCode"] in (137, 143)
    # The timestamp is when the grace period ends; the request was that much earlier.
    grace = timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    requested = datetime.fromisoformat(asked) - grace
    finished = ended.get("finishedAt")
    # Both are whole seconds, of two clocks.
    slack = timedelta(seconds=1)
    return finished is None or datetime.fromisoformat(finished) >= requested - slack


def _words(ended: KubeView) -> str:
    reason = ended.get("reason", "")
    message = ended.get("message", "").strip()
    words = f"exit code {ended['exitCode']}"
    if reason and reason != "Error":
        words = f"{reason}, {words}"
    return f"{words}: {message}" if message else words


_UNSTARTABLE = frozenset({"ContainerCannotRun", "StartError"})
_SHELL_HINTS = {
    "init": "does the image of --bundle-base have a shell?",
    "populate-cache": "does the image of --cache-bundle have a shell?",
    "fetch-packages": "does the image of --transfer-image have a shell?",
    BUILD: "does the image of --sdk-image have a shell?",
}


def _init_hint(name: str, ended: KubeView) -> str | None:
    if ended.get("reason") == "OOMKilled":
        return f"container {name} needs more memory than the node or its limits give"
    return _SHELL_HINTS.get(name) if ended.get("reason") in _UNSTARTABLE else None


def _node(pod: KubeView) -> str:
    return str(pod["spec"].get("nodeName", "?"))


def _memory(pod: KubeView) -> str:
    (build,) = (item for item in pod["spec"]["containers"] if item["name"] == BUILD)
    resources = build.get("resources", {})
    # Where a namespace sets a limit, that was what it met; else it was its node's end.
    for kind, words in (("limits", "it may have {}"), ("requests", "it asked for {}")):
        if amount := resources.get(kind, {}).get("memory"):
            return words.format(amount)
    return "it asked for nothing"
