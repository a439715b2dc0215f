"""`dag attach`: follows a run that is driven in the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dag.core.decoding import Undecodable
from dag.core.jobs.driver import DRIVER, has_job_ended, is_driver
from dag.core.jobs.handover import DriverEnd, decode_end
from dag.core.jobs.names import JOB_LABEL, StoreInCluster
from dag.core.jobs.options import AttachOptions
from dag.core.kube.objects import KubeObject, KubeView
from dag.core.pod.manifest import RUN_LABEL
from dag.core.pod.status import containers, termination
from dag.errors import BuildError, DagError, InfrastructureError, Interrupted, UsageError
from dag.io.kube.api import ApiError, Kube
from dag.run.build.signing import given_key
from dag.run.jobs.livelogs import LogReading
from dag.run.jobs.standing import opened_cluster, read_standings, stores_in_cluster
from dag.run.signals import run_interruptibly

_LOOK = 1.0
"""Seconds between two looks whether a Job has ended, or has another Pod."""
_PATIENCE = 600.0
"""Seconds for which an API server that does not answer is waited for."""


@dataclass(slots=True)
class FollowedRun:
    """A run that was followed to its end."""

    run: str
    end: DriverEnd | None = None
    """The driver's last words; None if nobody has them any more."""


class Attachment:
    """The driver's Job of one run, as it is followed from here."""

    def __init__(self, options: AttachOptions, show: Callable[[str], None]) -> None:
        """Take the flags; `show` gets each line that the driver says.

        Raises:
            UsageError: the key cannot sign, or the flags name no store in a cluster.

        """
        self._options = options
        self._show = show
        given_key(options.signing_key)
        self._keys = stores_in_cluster(options)
        self._key: StoreInCluster = next(iter(self._keys.values()))

    def find(self, words: str) -> KubeObject | None:
        """Return the Job that drives, or has driven, the newest run whose id begins so.

        Raises:
            UsageError: a client drives that run, and no Job does.
            ApiError: the API server cannot be reached, or refuses.

        """
        return run_interruptibly(self._find(words))

    def follow(self, job: KubeView) -> FollowedRun:
        """Tell what a driver says until its run has ended.

        Raises:
            Interrupted: somebody asked to stop; the run goes on.
            ApiError: the API server cannot be reached, or refuses.

        """
        run = str(job["metadata"]["labels"][RUN_LABEL])
        try:
            return run_interruptibly(self._follow(run, job))
        except Interrupted:
            raise run_goes_on(run) from None

    async def _find(self, words: str) -> KubeObject | None:
        async with opened_cluster(self._options) as kube:
            jobs = await kube.items(self._key.jobs_path, labelSelector=self._key.selector_of_all())
            found = [one for one in jobs if is_driver(one) and _run_of(one).startswith(words)]
            if found:
                return max(found, key=lambda one: (not has_job_ended(one), _run_of(one)))
            for one in await read_standings(kube, self._keys, words):
                if one.driver:
                    raise UsageError(
                        f"{one.driver} drives run {one.run}, and no job in the cluster does",
                        hint="`dag status` and `dag logs` tell of it",
                    )
        return None

    async def _follow(self, run: str, job: KubeView) -> FollowedRun:
        found = FollowedRun(run)
        name = str(job["metadata"]["name"])
        seen: set[str] = set()
        async with opened_cluster(self._options) as kube:
            while True:
                # Asked first, so that a Pod that came just before the end is seen.
                has_ended = await self._has_ended(kube, name)
                pods = await kube.items(
                    self._key.pods_path, patience=_PATIENCE, labelSelector=f"{JOB_LABEL}={name}"
                )
                new = [one for one in pods if str(one["metadata"]["uid"]) not in seen]
                for pod in sorted(new, key=lambda one: str(one["metadata"]["creationTimestamp"])):
                    seen.add(str(pod["metadata"]["uid"]))
                    await self._follow_pod(kube, pod, found)
                if has_ended and not new:
                    return found
                await asyncio.sleep(_LOOK)

    async def _has_ended(self, kube: Kube, name: str) -> bool:
        try:
            return has_job_ended(
                await kube.get(f"{self._key.jobs_path}/{name}", patience=_PATIENCE)
            )
        except ApiError as error:
            if error.status == 404:
                return True
            raise

    async def _follow_pod(self, kube: Kube, pod: KubeView, found: FollowedRun) -> None:
        path = f"{self._key.pods_path}/{pod['metadata']['name']}"
        reading = LogReading(kube, path, DRIVER, "the run")
        async for batch in reading.lines(follow=True):
            for line in batch:
                self._show(line.decode(errors="replace"))
        found.end = None  # whatever the one before has said, this one has gone on
        with suppress(ApiError):
            last = await kube.get(path, patience=_PATIENCE)
            if (ended := termination(containers(last).get(DRIVER, {}))) is not None:
                found.end = end_of(ended)


def run_goes_on(run: str) -> Interrupted:
    """Return the end of a command that somebody has stopped, and with it no run."""
    return Interrupted(
        f"run {run} goes on in the cluster",
        hint=f"`dag attach {run}` follows it, `dag cancel {run}` ends it",
    )


def _run_of(job: KubeView) -> str:
    return str(job["metadata"]["labels"][RUN_LABEL])


def end_of(ended: KubeView) -> DriverEnd:
    """Return what a driver's container left as its last words, given how it ended."""
    message, code = str(ended.get("message", "")), int(ended.get("exitCode", 0))
    if code == 0:
        with suppress(Undecodable):
            return decode_end(message)
    return DriverEnd(exit_code=3, words=message or f"its pod ended with exit code {code}")


def error_of(end: DriverEnd, what: str) -> DagError:
    """Return the error with which a driver has ended; `what` says so."""
    kinds = (BuildError, UsageError, Interrupted)
    kind = next((one for one in kinds if one.exit_code == end.exit_code), InfrastructureError)
    return kind(f"{what}: {end.words}", hint=end.hint or None)
