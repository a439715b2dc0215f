"""Reads off a Pod, as the API shows it, how its work ended.

The rules were measured on a real cluster, because the API does not say them outright:
an OOM kill of a child leaves the reason OOMKilled beside the container's own exit code, even 0; a
deletion leaves 143 or 137 and no condition; an eviction for disk leaves the reason Evicted; a lost
node leaves the phase Running for ever and a DisruptionTarget condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from dag.core.build.scripts import MADE_NOTHING, REFUSED
from dag.core.kube.objects import KubeView
from dag.core.pod.lastwords import LastWords, counted_log, read_last_words
from dag.core.pod.manifest import BUILD, UPLOAD
from dag.core.pod.status import containers, steps, termination


class Cause(Enum):
    """The reason why a build ended; `Ending.exit_code` follows from it."""

    DONE = auto()
    MAKE = auto()
    OOM_KILLED = auto()
    TIMEOUT = auto()
    EVICTED = auto()
    PREEMPTED = auto()
    NODE_LOST = auto()
    DELETED = auto()
    INIT = auto()
    """A step before the build failed."""
    START = auto()
    """The build could not start."""
    PENDING = auto()
    """Nothing ran for longer than somebody wanted to wait."""
    UPLOAD = auto()
    """Everything was built, and the upload failed."""


NEVER_BUILT = frozenset({Cause.INIT, Cause.START, Cause.PENDING})
"""The Pod never came to building."""
TAKEN_AWAY = frozenset({Cause.NODE_LOST, Cause.DELETED, Cause.PREEMPTED, Cause.EVICTED})
"""Somebody took the Pod away, and with it what it has not said yet."""
_BUILD_CAUSES = frozenset({Cause.MAKE, Cause.OOM_KILLED, Cause.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a build, and what to do about it."""

    cause: Cause
    message: str
    hint: str | None = None
    container: str = BUILD
    """Whose log tells more."""

    @property
    def exit_code(self) -> int:
        """The exit code: 0 if it is done, 1 if the build itself failed, 3 if something around it did."""
        if self.cause is Cause.DONE:
            return 0
        return 1 if self.cause in _BUILD_CAUSES else 3


@dataclass(frozen=True, slots=True)
class PodFacts:
    """The facts from which it is judged how a Pod's work ended."""

    pod: KubeView
    """Its newest known state."""
    deleted: bool = False
    """Whether it is gone from the API."""
    unstarted: Mapping[str, str] = field(default_factory=dict)
    """Why a container that has not started is not waited for any longer, by the container's name."""


def how_build_ended(facts: PodFacts) -> Ending | None:
    """Return how the Pod's build ended, or None while it goes on."""
    pod, deleted = facts.pod, facts.deleted
    taken = how_taken_away(pod)
    if taken is not None:
        return taken
    if pod.get("status", {}).get("reason") == "DeadlineExceeded":
        limit = pod["spec"].get("activeDeadlineSeconds")
        return Ending(Cause.TIMEOUT, f"the build took longer than --timeout ({limit} s)")
    found = containers(pod)
    for name in (*steps(pod), BUILD):
        ended = termination(found.get(name, {}))
        if ended and _is_made_up(name, ended) and not _is_deletion(pod, ended, deleted=deleted):
            words = f"node {{node}} does not know how container {name} ended"
            return _taken(pod, Cause.NODE_LOST, words, ended.get("message", ""))
    for name in steps(pod):
        ended = termination(found.get(name, {}))
        if ended and ended["exitCode"] != 0 and not _is_deletion(pod, ended, deleted=deleted):
            said = _words(ended)
            hint = said.hint or _init_hint(name, ended)
            return Ending(Cause.INIT, f"container {name} failed: {said.message}", hint, name)
    ended = termination(found.get(BUILD, {}))
    if ended is not None:
        return _with_upload(facts, _build_ending(pod, ended, deleted=deleted))
    return _without_build(pod, deleted=deleted)


def how_taken_away(pod: KubeView) -> Ending | None:
    """Return who took the Pod away before its work had ended, or None if nobody has."""
    status = pod.get("status", {})
    if status.get("reason") == "Evicted":
        return Ending(
            Cause.EVICTED,
            f"the node evicted the pod: {status.get('message', '').strip()}",
            "ask for more with --disk or --ram, or use a larger node",
        )
    return disruption_of(pod)


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


def _with_upload(facts: PodFacts, ending: Ending) -> Ending | None:
    """Return how build and upload ended together, or None while the upload goes on."""
    uploads = any(container["name"] == UPLOAD for container in facts.pod["spec"]["containers"])
    if facts.deleted or not uploads or ending.cause is Cause.START:
        return ending
    ended = termination(containers(facts.pod).get(UPLOAD, {}))
    if ended is None and UPLOAD not in facts.unstarted:
        return None
    if ended is not None and ended["exitCode"] == 0:
        return ending
    if ended is None:
        said = LastWords(facts.unstarted[UPLOAD])
    else:
        said = read_last_words(ended) or _words(ended)
    what = f"the upload failed: {said.message}"
    if ending.cause is not Cause.DONE:
        message = f"{ending.message}; {what}"
        return replace(ending, message=message, hint=ending.hint or said.hint)
    if ended is None:
        return Ending(Cause.UPLOAD, f"everything is built, but {what}")
    may = "may the pod's service account, or the Secret of --bucket-secret, write there?"
    return Ending(Cause.UPLOAD, f"everything is built, but {what}", said.hint or may, UPLOAD)


def _build_ending(pod: KubeView, ended: KubeView, *, deleted: bool) -> Ending:
    code = ended["exitCode"]
    if ended.get("reason") == "OOMKilled":
        return Ending(
            Cause.OOM_KILLED,
            f"the build was killed for want of memory (OOMKilled, {_memory(pod)})",
            "ask for more with --ram",
        )
    if ended.get("reason") in UNSTARTABLE:
        return Ending(
            Cause.START,
            f"the build container could not start: {ended.get('message', '').strip()}",
            _SHELL_HINTS[BUILD],
        )
    # A script that refuses ends before its log has a last line; with one that is the code of make.
    if code == REFUSED and ended.get("message") and counted_log(containers(pod)[BUILD]) is None:
        return Ending(Cause.START, f"the build did not begin: {ended['message'].strip()}")
    if code == 0:
        nothing = MADE_NOTHING in ended.get("message", "")
        hint = f"{MADE_NOTHING}: is that what its targets are for?" if nothing else None
        return Ending(Cause.DONE, "make ended with exit code 0", hint)
    if _is_deletion(pod, ended, deleted=deleted):
        return Ending(Cause.DELETED, "somebody deleted the pod while it was building")
    if code > 128 and code - 128 in _SIGNALS:
        name = _SIGNALS[code - 128]
        return Ending(
            Cause.MAKE,
            f"the build was ended by {name} (exit code {code})",
            _SIGNAL_HINTS.get(name),
        )
    return Ending(Cause.MAKE, f"make failed with exit code {code}")


_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}
_SIGNAL_HINTS = {
    "SIGKILL": "a node that runs out of memory does that: ask for more with --ram",
    "SIGTERM": "a node that shuts down does that, or somebody who ended it there: run it again",
}

# https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
_DISRUPTIONS = {
    "PreemptionByScheduler": (Cause.PREEMPTED, "the pod was preempted by one of higher priority"),
    "DeletionByTaintManager": (Cause.NODE_LOST, "node {node} stopped answering"),
    "EvictionByEvictionAPI": (Cause.EVICTED, "the pod was evicted (a drain of node {node}?)"),
    "DeletionByPodGC": (Cause.NODE_LOST, "node {node} no longer exists"),
    "TerminationByKubelet": (Cause.NODE_LOST, "node {node} has ended the pod"),
}
# What nodes' own agents call it when they end a Pod; older ones set no condition beside it.
# https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/kubelet/nodeshutdown/nodeshutdown_manager.go
_TAKEN_BY_NODE = {
    "NodeLost": (Cause.NODE_LOST, "node {node} went away"),
    "NodeShutdown": (Cause.NODE_LOST, "node {node} was about to shut down"),
    "Shutdown": (Cause.NODE_LOST, "node {node} shut down"),
    "Terminated": (Cause.NODE_LOST, "node {node} shut down"),
    "Preempting": (Cause.PREEMPTED, "the pod made way for a critical one of its node"),
}
_UNKNOWN = frozenset({"ContainerStatusUnknown", "Unknown"})
"""Reasons of a container that was gone, as after its node began anew: the exit code is made up."""


def _is_made_up(name: str, ended: KubeView) -> bool:
    # Of a step before the build that went well, a node may forget all but that.
    return ended.get("reason") in _UNKNOWN and (name == BUILD or ended["exitCode"] != 0)


def disruption_of(pod: KubeView) -> Ending | None:
    """Return the ending of a Pod that is taken away for reasons around it; None if it is not.

    A node that is short of something may be so because of this very Pod, and one attempt after the other
    would end in that way. It has the same condition as one that shuts down, and another reason.
    https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/kubelet/eviction/eviction_manager.go
    """
    status = pod.get("status", {})
    if status.get("reason") == "Evicted":
        return None
    if status.get("reason") in _TAKEN_BY_NODE:
        return _taken(pod, *_TAKEN_BY_NODE[status["reason"]], status.get("message", ""))
    for condition in status.get("conditions", ()):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            reason = condition.get("reason", "")
            cause, words = _DISRUPTIONS.get(reason, (Cause.EVICTED, f"disrupted: {reason}"))
            return _taken(pod, cause, words, condition.get("message", ""))
    return None


def _taken(pod: KubeView, cause: Cause, words: str, message: str) -> Ending:
    message = message.strip()
    return Ending(
        cause,
        words.format(node=_node(pod)) + (f": {message}" if message else ""),
        "nothing is wrong with the packages: run it again",
    )


def _is_deletion(pod: KubeView, ended: KubeView, *, deleted: bool) -> bool:
    """Return whether a container ended because its Pod was being deleted, not by itself before."""
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


def _words(ended: KubeView) -> LastWords:
    """Return how a container ended, with what it said."""
    reason = ended.get("reason", "")
    words = f"exit code {ended['exitCode']}"
    if reason and reason != "Error":
        words = f"{reason}, {words}"
    said = read_last_words(ended)
    return LastWords(f"{words}: {said.message}", said.hint) if said else LastWords(words)


UNSTARTABLE = frozenset({"ContainerCannotRun", "StartError"})
"""Reasons of a container that ended without having started."""
_SHELL_HINTS = {
    "init": "is the image of --agent-image or --bundle-base one that `dag image` made?",
    "populate-cache": "is the image of --cache-bundle one that `dag cache` of this version pushed?",
    BUILD: "does the image of --sdk-image have a shell?",
}


def _init_hint(name: str, ended: KubeView) -> str | None:
    if ended.get("reason") == "OOMKilled":
        return f"container {name} needs more memory than the node or its limits give"
    return _SHELL_HINTS.get(name) if ended.get("reason") in UNSTARTABLE else None


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
