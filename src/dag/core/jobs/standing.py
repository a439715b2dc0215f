"""How a run in a cluster stands, read off the Lease of its store, its Jobs and their Pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dag.core.jobs.driver import is_driver
from dag.core.jobs.ending import has_job_ended
from dag.core.jobs.lease import LeaseView
from dag.core.jobs.names import JOB_LABEL, attempt_of
from dag.core.kube.objects import KubeView
from dag.core.pod.manifest import ARCH_LABEL, BUILD, RUN_LABEL
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
    arch: str
    driver: str
    """Who drives it, in words; empty if nobody does."""
    progress: str
    """How far it is, in the driver's words."""
    attempts: tuple[LiveAttempt, ...]
    ended: bool = False
    """Whether it has ended for this architecture, and goes on for another one."""
    job: str = ""
    """The Job that drives it in the cluster; empty if a client drives it, or nobody."""


def is_driven(standings: Iterable[Standing]) -> bool:
    """Return whether somebody drives a run, given how it stands for each of its architectures."""
    return any(one.driver for one in standings)


def standings_of(
    leases: Mapping[str, LeaseView],
    jobs: Iterable[KubeView],
    pods: Iterable[KubeView],
    words: str = "",
) -> list[Standing]:
    """Return how the newest run stands whose id begins with `words`; nothing if there is none.

    There is one for each architecture, in the order of their names, by which the Leases are given.
    """
    by_run: dict[str, dict[str, list[KubeView]]] = {}
    drivers: dict[str, str] = {}
    for job in jobs:
        marks = job["metadata"].get("labels") or {}
        if is_driver(job) and not has_job_ended(job) and ARCH_LABEL in marks:
            drivers[str(marks[RUN_LABEL])] = str(job["metadata"]["name"])
            by_run.setdefault(str(marks[RUN_LABEL]), {}).setdefault(str(marks[ARCH_LABEL]), [])
        if attempt_of(job) is not None and ARCH_LABEL in marks:
            archs = by_run.setdefault(str(marks[RUN_LABEL]), {})
            archs.setdefault(str(marks[ARCH_LABEL]), []).append(job)
    driven = {one.note.run for one in leases.values() if one.holder}
    runs = [run for run in {*by_run, *driven, *drivers} if run and run.startswith(words)]
    if not runs:
        return []
    run = max(runs)
    by_job = {str(pod["metadata"]["labels"].get(JOB_LABEL, "")): pod for pod in pods}
    there = by_run.get(run, {})
    # A Lease that nobody holds has what was told last.
    known = {arch: lease for arch, lease in leases.items() if lease.note.run == run}
    return [
        _standing(
            run,
            arch,
            known.get(arch),
            [_attempt(one, by_job) for one in there.get(arch, ())],
            drivers.get(run, ""),
        )
        for arch in sorted({*there, *known})
    ]


def _standing(
    run: str, arch: str, lease: LeaseView | None, attempts: list[LiveAttempt], job: str
) -> Standing:
    holder = lease.holder if lease is not None else ""
    return Standing(
        run=run,
        arch=arch,
        driver=holder or (f"job {job}" if job else ""),
        progress=lease.note.progress if lease is not None and lease.holder else "",
        attempts=tuple(sorted(attempts, key=_order)),
        ended=lease is not None and not holder and not attempts and not job,
        job=job,
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
