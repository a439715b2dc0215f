"""How a run in a cluster stands, read off the Lease of its store, its Jobs and their Pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dag.core.jobs.lease import LeaseView
from dag.core.jobs.names import JOB_LABEL, attempt_of
from dag.core.kube.objects import KubeView
from dag.core.pod.manifest import BUILD, RUN_LABEL
from dag.core.pod.status import containers, has_ended, is_running


@dataclass(frozen=True, slots=True)
class LiveAttempt:
    """An attempt whose Job is there."""

    package: str
    attempt: int
    state: str
    """`waiting` for a node, `preparing`, `building`, or `ended`, when its packages are taken."""
    since: str
    """When its Job was made, or its build began, as the API writes times."""
    pod: str
    """The name of its Pod; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A run of which somebody drives the build, or of which there are Jobs."""

    run: str
    driver: str
    """Who drives it, in words; empty if nobody does."""
    progress: str
    """How far it is, in the driver's words."""
    attempts: tuple[LiveAttempt, ...]


def standing_of(
    lease: LeaseView | None, jobs: Iterable[KubeView], pods: Iterable[KubeView], words: str = ""
) -> Standing | None:
    """Return how the newest run stands whose id begins with `words`; None if there is none."""
    by_run: dict[str, list[KubeView]] = {}
    for job in jobs:
        if attempt_of(job) is not None:
            by_run.setdefault(str(job["metadata"]["labels"][RUN_LABEL]), []).append(job)
    driven = lease.note.run if lease is not None and lease.holder else ""
    runs = [run for run in {*by_run, driven} if run and run.startswith(words)]
    if not runs:
        return None
    run = max(runs)
    by_job = {str(pod["metadata"]["labels"].get(JOB_LABEL, "")): pod for pod in pods}
    is_driven = lease is not None and run == driven
    return Standing(
        run=run,
        driver=lease.holder if lease is not None and is_driven else "",
        progress=lease.note.progress if lease is not None and is_driven else "",
        attempts=tuple(sorted((_attempt(one, by_job) for one in by_run.get(run, ())), key=_order)),
    )


def _order(one: LiveAttempt) -> tuple[str, int]:
    return one.package, one.attempt


def _attempt(job: KubeView, pods: Mapping[str, KubeView]) -> LiveAttempt:
    package, number = attempt_of(job) or ("", 0)
    pod = pods.get(str(job["metadata"]["name"]))
    state, since = "waiting", str(job["metadata"].get("creationTimestamp", ""))
    if pod is not None:
        build = containers(pod).get(BUILD, {})
        if is_running(build):
            state, since = "building", str(build["state"]["running"].get("startedAt", since))
        elif has_ended(build):
            state = "ended"
        elif pod["spec"].get("nodeName"):
            state = "preparing"
    return LiveAttempt(
        package=package,
        attempt=number,
        state=state,
        since=since,
        pod=str(pod["metadata"]["name"]) if pod is not None else "",
    )
