"""`dag attach`: follows a run that is driven in the cluster."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dag.core.decoding import Undecodable
from dag.core.jobs.driver import DRIVER, has_lost_pods, is_driver
from dag.core.jobs.ending import has_job_ended
from dag.core.jobs.handover import DriverEnd, decode_end
from dag.core.jobs.names import JOB_LABEL, StoreInCluster
from dag.core.jobs.options import AttachOptions
from dag.core.jobs.queues import has_no_turn, queue_of, why_it_waits
from dag.core.kube.objects import KubeObject, KubeView
from dag.core.pod.lastwords import LastWords, read_last_words
from dag.core.pod.manifest import RUN_LABEL
from dag.core.pod.status import containers, has_ended, has_started, termination
from dag.core.pod.waiting import why_waiting
from dag.errors import BuildError, DagError, InfrastructureError, Interrupted, UsageError
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.opening import opened_cluster
from dag.report.terminal import say
from dag.report.words import seconds
from dag.run.build.signing import given_key
from dag.run.jobs.livelogs import LogReading
from dag.run.jobs.queues import read_workloads
from dag.run.jobs.standing import read_standings, stores_in_cluster
from dag.run.pod.access import events_about
from dag.run.signals import run_interruptibly

_LOOK = 1.0
"""Seconds between two looks whether a Job has ended, or has another Pod."""
_SLOW_LOOK = 20.0
"""Seconds between two looks why a driver waits in a queue."""
_PATIENCE = 600.0
"""Seconds for which an API server that does not answer is waited for."""
_BEGIN = 3600.0
"""Seconds for which a driver is waited for that has not begun, as long as who detaches a build waits."""


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
        """Tell what a driver says until its run has ended, and why none runs as long as that is so.

        Raises:
            Interrupted: somebody asked to stop; the run goes on.
            InfrastructureError: the driver does not begin for an hour; its Job is deleted.
            ApiError: the API server cannot be reached, or refuses.

        """
        run = str(job["metadata"]["labels"][RUN_LABEL])
        try:
            return run_interruptibly(self._follow(run, job))
        except Interrupted:
            raise run_goes_on(run) from None

    async def _find(self, words: str) -> KubeObject | None:
        async with opened_cluster(self._options, say) as kube:
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
        async with opened_cluster(self._options, say) as kube:
            waiting = _DriverWait(kube, run, f"{self._key.jobs_path}/{name}", self._show)
            while True:
                # Asked first, so that a Pod that came just before the end is seen.
                now = await waiting.job()
                pods = await kube.items(
                    self._key.pods_path, patience=_PATIENCE, labelSelector=f"{JOB_LABEL}={name}"
                )
                new = [one for one in pods if str(one["metadata"]["uid"]) not in seen]
                for pod in sorted(new, key=lambda one: str(one["metadata"]["creationTimestamp"])):
                    seen.add(str(pod["metadata"]["uid"]))
                    await waiting.until_begun(f"{self._key.pods_path}/{pod['metadata']['name']}")
                    await self._follow_pod(kube, pod, found)
                if (now is None or has_job_ended(now)) and not new:
                    return found
                if now is not None and (has_no_turn(now) or not pods):
                    await waiting.tell_without_pod(now)
                await asyncio.sleep(_LOOK)

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


class _DriverWait:
    """The wait for a driver of a run that does not run: it is told why, and ends after an hour."""

    def __init__(self, kube: Kube, run: str, job: str, show: Callable[[str], None]) -> None:
        """Take the path of the driver's Job; `show` is told why it waits."""
        self._kube = kube
        self._run = run
        self._job = job
        self._show = show
        self._said = ""
        self._look_at_queue = -math.inf
        self._had_no_turn = False
        self._has_begun = False
        self._began = time.monotonic()

    async def job(self) -> KubeObject | None:
        """Return the Job; None if it is gone."""
        return await self._kube.find(self._job, patience=_PATIENCE)

    async def until_begun(self, path: str) -> None:
        """Wait until a Pod of the driver has begun, or never will."""
        while (pod := await self._kube.find(path, patience=_PATIENCE)) is not None:
            phase = (pod.get("status") or {}).get("phase")
            driver = containers(pod).get(DRIVER, {})
            if has_started(driver) or has_ended(driver) or phase in ("Succeeded", "Failed"):
                self._has_begun = True
                return
            why = why_waiting(pod, await events_about(self._kube, pod))
            await self._tell(why.message if why is not None else "")
            await asyncio.sleep(_LOOK)

    async def tell_without_pod(self, job: KubeView) -> None:
        """Tell why a Job has no Pod, as far as anybody says."""
        if has_no_turn(job):
            self._began = time.monotonic()  # its turn may come at any time
            self._had_no_turn = True
            await self._tell_turn(job)
            return
        if self._had_no_turn:
            self._had_no_turn, self._said = False, ""  # where the turn is lost, that is told again
        refused = [
            one.get("message", "")
            for one in await events_about(self._kube, job)
            if one.get("reason") == "FailedCreate"
        ]
        await self._tell(f"its Job cannot make its pod: {refused[-1]}" if refused else "")

    async def _tell_turn(self, job: KubeView) -> None:
        queue, now = queue_of(job), time.monotonic()
        if queue is None:
            await self._tell("its Job is suspended")
        elif now >= self._look_at_queue:
            self._look_at_queue = now + _SLOW_LOOK
            await self._tell(why_it_waits(queue, await read_workloads(self._kube, job)))

    async def _tell(self, why: str) -> None:
        if why and why != self._said:
            self._said = why
            self._show(
                f"the driver of run {self._run} does not run yet: {why}; "
                f"`dag cancel {self._run}` ends the wait"
            )
        if self._has_begun or time.monotonic() - self._began < _BEGIN:
            return
        job = await self.job()
        if job is not None and has_lost_pods(job):
            self._has_begun = True  # one of them may have driven the run
            return
        if job is not None:
            uid = str(job["metadata"]["uid"])
            await self._kube.delete(self._job, uid=uid, dependents=True, patience=_PATIENCE)
        raise InfrastructureError(
            f"the driver of run {self._run} did not begin in {seconds(_BEGIN)}, and is deleted: "
            f"{self._said or 'nobody says why'}",
            hint="remove the cause, and run `dag build --detach` again",
        )


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
    code = int(ended.get("exitCode", 0))
    if code == 0:
        with suppress(Undecodable):
            return decode_end(str(ended.get("message", "")))
    said = read_last_words(ended) or LastWords(f"its pod ended with exit code {code}")
    return DriverEnd(exit_code=3, words=said.message, hint=said.hint or "")


def error_of(end: DriverEnd, what: str) -> DagError:
    """Return the error with which a driver has ended; `what` says so."""
    kinds = (BuildError, UsageError, Interrupted)
    kind = next((one for one in kinds if one.exit_code == end.exit_code), InfrastructureError)
    return kind(f"{what}: {end.words}", hint=end.hint or None)
