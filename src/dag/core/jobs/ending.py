"""Reads off a Job and its Pod how its unit's attempt ended, and what that means for the unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dag.core.build.events import Broke, Faulted, Lacked, OutOfMemory
from dag.core.build.failure import SHOWN_LINES, failure_words, lacked_words
from dag.core.decoding import Undecodable
from dag.core.jobs.answers import (
    AgentAnswer,
    EndedAnswer,
    ProvenAnswer,
    UnprovenAnswer,
    decode_answer,
)
from dag.core.jobs.manifest import COLLECT, PREPARE
from dag.core.kube.objects import KubeView
from dag.core.pod.ending import (
    NEVER_BUILT,
    TAKEN_AWAY,
    Cause,
    Ending,
    PodFacts,
    disruption_of,
    how_build_ended,
    how_taken_away,
)
from dag.core.pod.lastwords import LastWords, read_last_words
from dag.core.pod.status import containers, termination

Failure = Broke | Lacked | OutOfMemory | Faulted


def answer_of(pod: KubeView) -> AgentAnswer | None:
    """Return what the agent answered that looked at what was built; None if it did not come to that."""
    ended = termination(containers(pod).get(COLLECT, {}))
    if ended is None or ended["exitCode"] != 0:
        return None
    try:
        return decode_answer(str(ended.get("message", "")))
    except Undecodable:
        return None


def how_job_ended(job: KubeView) -> str:
    """Return how a Job has ended, so that Kubernetes makes no Pod of it any more; empty if it has not.

    https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
    """
    for one in (job.get("status") or {}).get("conditions") or ():
        if one.get("type") in ("Complete", "Failed") and one.get("status") == "True":
            return f"{one.get('reason', '')}: {one.get('message', '')}"
    return ""


def has_job_ended(job: KubeView) -> bool:
    """Return whether Kubernetes makes no Pod of a Job any more."""
    return bool(how_job_ended(job))


def how_attempt_ended(facts: PodFacts) -> Ending | None:
    """Return how an attempt ended, or None while it goes on.

    What is proven stays proven, whatever happened to the Pod in the end.
    """
    if isinstance(answer_of(facts.pod), ProvenAnswer):
        return Ending(Cause.DONE, "the unit is proven")
    ending = how_build_ended(facts)
    if ending is None and _is_alone(facts.pod):
        words = f"nobody waits for the build any more: the agent failed: {_agents_words(facts.pod)}"
        return Ending(Cause.START, words, container=COLLECT)
    if ending is None or facts.deleted:
        return ending
    if ending.cause in NEVER_BUILT | TAKEN_AWAY or ending.cause is Cause.TIMEOUT:
        return ending
    collected = termination(containers(facts.pod).get(COLLECT, {}))
    return None if collected is None else ending


def how_agent_ended(container: str, facts: PodFacts) -> Ending | None:
    """Return how a Pod ended whose only container is one of the agent, or None while it works."""
    ended = termination(containers(facts.pod).get(container, {}))
    if ended is not None and ended["exitCode"] == 0:
        return Ending(Cause.DONE, "done", container=container)
    taken = how_taken_away(facts.pod)
    if taken is not None:
        return replace(taken, container=container)
    if ended is not None:
        said = read_last_words(ended) or LastWords(f"exit code {ended['exitCode']}")
        return Ending(Cause.START, said.message, said.hint, container)
    status = facts.pod.get("status", {})
    if status.get("phase") not in ("Failed", "Succeeded"):
        return None
    words = status.get("message") or status.get("reason") or "it ended without a word"
    return Ending(Cause.START, str(words), container=container)


def failure_of(
    key: str,
    attempt: int,
    facts: tuple[Ending, KubeView],
    *,
    lines: Sequence[str],
    lacking: Mapping[str, str],
) -> Failure:
    """Return what an attempt that proved nothing means for its unit.

    `facts` are how it ended, and its Pod. `lines` are the last ones of the build's log, of which the
    failure shows a few, and `lacking` what packages of its environment need and nobody is known to
    give → one that needs it.
    """
    ending, pod = facts
    told, answer = tuple(lines[-SHOWN_LINES:]), answer_of(pod)
    if isinstance(answer, UnprovenAnswer):
        return Broke(key, attempt, answer.why, told)
    match ending.cause:
        case Cause.OOM_KILLED:
            return OutOfMemory(key, attempt, ending.message, told)
        case Cause.TIMEOUT:
            return Broke(key, attempt, ending.message, told)
        case Cause.MAKE if isinstance(answer, EndedAnswer):
            names, cause = lacked_words(lacking, lines)
            if names:
                return Lacked(key, attempt, names, cause, told)
            words = failure_words(lines, ending.message)
            return Broke(key, attempt, words.cause, words.lines)
        case Cause.INIT if _broke_in(pod, PREPARE):
            return Broke(key, attempt, ending.message, told)
        case Cause.DONE | Cause.MAKE:
            return Faulted(key, attempt, f"the agent failed: {_agents_words(pod)}", told)
        case _:
            return Faulted(
                key,
                attempt,
                ending.message,
                told,
                disrupted=disruption_of(pod) is not None or ending.cause is Cause.PREEMPTED,
                wants_disk=_was_short_of_disk(pod),
            )


def _is_alone(pod: KubeView) -> bool:
    """Return whether the agent has ended that waits for the build; nobody would take what it makes."""
    ended = termination(containers(pod).get(COLLECT, {}))
    return ended is not None and ended["exitCode"] != 0


def _was_short_of_disk(pod: KubeView) -> bool:
    """Return whether a node that ran short of disk took the Pod away; a limit of its own is another thing.

    Nodes begin with those Pods that take more than they have asked for.
    https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#pod-selection-for-kubelet-eviction
    """
    status = pod.get("status", {})
    return status.get("reason") == "Evicted" and str(status.get("message", "")).startswith(_SHORT)


_SHORT = "The node was low on resource: ephemeral-storage"
"""https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/kubelet/eviction/helpers.go, nodeLowMessageFmt"""


def _broke_in(pod: KubeView, name: str) -> bool:
    """Return whether a container of the agent's said that the unit itself is at fault."""
    ended = termination(containers(pod).get(name, {}))
    return ended is not None and ended["exitCode"] in (1, 2)


def _agents_words(pod: KubeView) -> str:
    ended = termination(containers(pod).get(COLLECT, {})) or {}
    reason = ended.get("reason", "") or "it never ended"
    return str(read_last_words(ended) or f"{reason}, exit code {ended.get('exitCode', '?')}")
