"""The runner of units as Jobs of a cluster: each attempt is a Job, and its Pod does the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from dag.core.build.events import (
    Began,
    ComputeResources,
    Proven,
    ProvePackages,
    Start,
    Succeeded,
    Unchanged,
)
from dag.core.build.failure import SEARCHED_LINES
from dag.core.build.scripts import read_trailer
from dag.core.decoding import Undecodable
from dag.core.jobs.answers import ProvenAnswer, record_of
from dag.core.jobs.capacity import requests_of
from dag.core.jobs.ending import answer_of, failure_of, how_attempt_ended
from dag.core.jobs.manifest import COLLECT, JobSettings, unit_job
from dag.core.jobs.names import attempt_of, job_name
from dag.core.kube.objects import KubeView
from dag.core.limits import TooLarge
from dag.core.pod.ending import Ending
from dag.core.pod.manifest import BUILD
from dag.core.pod.reading import LONGEST_SHOWN
from dag.core.pod.states import WatchRules
from dag.core.store.records import Record
from dag.errors import InfrastructureError
from dag.io.kube.api import ApiError, Kube
from dag.report.terminal import Terminal
from dag.run.build.resolving import ResolvedUnit, UnitResolver, names_given
from dag.run.build.runner import Ended, ProofEnd
from dag.run.jobs.attempt import JobFollower
from dag.run.jobs.logs import read_lines
from dag.run.jobs.news import RunNews
from dag.run.jobs.orders import Orders

_IN_A_ROW = 4
"""How many units are resolved in a row before what else there is to do goes on. One end can free
hundreds: the Jobs of the first are made while the others are resolved."""


@dataclass(frozen=True, slots=True)
class _Collected:
    """What an attempt proved."""

    record: Record
    results: int


class JobRunner:
    """A `Runner` whose attempts are Jobs. Of a Job's containers it believes the agent alone."""

    def __init__(
        self,
        kube: Kube,
        settings: JobSettings,
        units: UnitResolver,
        orders: Orders,
        terminal: Terminal,
        *,
        remember: Callable[[Record], None] = lambda _: None,
    ) -> None:
        """Use a cluster; `remember` is told of each unit that an agent says it has proven."""
        self._remember = remember
        self._kube = kube
        self._settings = settings
        self._units = units
        self._orders = orders
        self._terminal = terminal
        self._alive: dict[tuple[str, int], ComputeResources] = {}
        """What attempts may take that were there before, by package and number."""
        self._news = RunNews(kube, settings.namespace, settings.key.selector(settings.run))
        self._collected: dict[tuple[str, int], _Collected] = {}
        self._removals: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_IN_A_ROW)
        self.finished: list[Record] = []
        """The records of units that were proven, or found unchanged."""
        self.open_units: dict[str, str] = {}
        """Packages that were built with what melange got from repositories itself → why."""

    @property
    def is_abandoned(self) -> bool:
        """Return whether the Jobs are left to another client, which drives them now."""
        return self._news.is_abandoned

    def abandon(self) -> None:
        """Leave all Jobs alone from now on: another client drives them."""
        self._news.is_abandoned = True

    async def open(self) -> Began:
        """Begin to watch the Jobs and Pods of the run."""
        settings = self._settings
        wanted = settings.key.selector(settings.run)
        self._news.open()
        for job in await self._kube.items(settings.key.jobs_path, labelSelector=wanted):
            if (attempt := attempt_of(job)) is not None:
                asked = requests_of(job["spec"]["template"]["spec"], BUILD)
                self._alive[attempt] = asked or ComputeResources(0, 0)
        return Began(live=tuple(sorted(self._alive)))

    async def run(self, start: Start) -> Ended:
        """Run an attempt as a Job; see `Runner.run`."""
        key, attempt = start.key, start.attempt
        async with self._turns:
            await asyncio.sleep(0)
            unit = self._units.resolve(key)
        if (same := self._units.same(unit)) is not None:
            return self._reuse(start, same)
        start = msgspec.structs.replace(
            start, resources=self._alive.pop((key, attempt), start.resources)
        )
        manifest = unit_job(self._settings, self._orders.of(unit, start), start.resources)
        say = self._terminal.about(key).say
        follower = JobFollower(self._kube, self._news, manifest, _RULES, say)
        result = await follower.run()
        try:
            ending = await follower.explained(result.ending)
            return await self._judge(start, unit, ending, follower.pod)
        finally:
            self._remove(follower)

    async def _judge(
        self, start: Start, unit: ResolvedUnit, ending: Ending, pod: KubeView
    ) -> Ended:
        """Return what an attempt's Pod and its logs tell of how it ended."""
        key, attempt = start.key, start.attempt
        answer = answer_of(pod)
        if isinstance(answer, ProvenAnswer):
            record = await self._record(pod, answer)
            if not answer.built:
                return self._reuse(start, record)
            # As long as its Job is there, which tells it to whoever goes on. It is what the agent itself
            # has built: see `UnitOrder.witnessed`.
            self._remember(record)
            self._collected[key, attempt] = _Collected(record, answer.results)
            return Succeeded(key, attempt, used=answer.used)
        lines = await self._tail(pod)
        failure = failure_of(key, attempt, (ending, pod), lines=lines, lacking=unit.lacking)
        return msgspec.structs.replace(failure, used=answer.used if answer else None)

    async def prove(self, prove: ProvePackages) -> ProofEnd:
        """Take what the agent has proven."""
        found = self._collected.pop((prove.key, prove.attempt))
        self._take(found.record)
        return Proven(
            prove.key, prove.attempt, found.results, names_given(found.record), found.record.result
        )

    async def cancel(self, key: str, attempt: int) -> None:
        """Delete the Job of an attempt from before."""
        if self.is_abandoned:
            return
        path = self._settings.key.jobs_path
        name = job_name(self._settings.run, key, self._settings.arch.apk, attempt)
        with suppress(ApiError):
            job = await self._kube.get(f"{path}/{name}")
            uid = str(job["metadata"]["uid"])
            await self._kube.delete(f"{path}/{name}", uid=uid, dependents=True)

    def _remove(self, follower: JobFollower) -> None:
        """Delete a Job whose end is known; nobody waits for that but `close`."""
        if self.is_abandoned:
            return
        task = asyncio.create_task(follower.remove())
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    async def close(self) -> None:
        """Wait until the Jobs are deleted whose ends are known, and end the watches."""
        await asyncio.gather(*self._removals)
        await self._news.close()

    def _reuse(self, start: Start, record: Record) -> Unchanged:
        self._take(record)
        return Unchanged(start.key, start.attempt, gives=names_given(record), result=record.result)

    def _take(self, record: Record) -> None:
        self.finished.append(record)
        self._units.finish(record)
        if record.inputs is not None and record.inputs.open:
            self.open_units[record.name] = record.inputs.open

    async def _record(self, pod: KubeView, answer: ProvenAnswer) -> Record:
        log = [] if answer.record else await read_lines(self._kube, pod, COLLECT)
        try:
            return record_of(answer, log)
        except Undecodable as error:
            raise InfrastructureError(f"the agent's record cannot be read: {error}") from error

    async def _tail(self, pod: KubeView) -> list[str]:
        """Return the last lines of the build's log, as far as the node still has it."""
        if not pod:
            return []
        try:
            lines = await read_lines(
                self._kube, pod, BUILD, tail=SEARCHED_LINES, longest=LONGEST_SHOWN
            )
        except (ApiError, TooLarge):
            return []
        return [line for line in lines if line.strip() and not read_trailer(line)]


_RULES = WatchRules(
    pending_timeout=3600.0,
    hopeless_grace=60.0,
    stalled_grace=900.0,
    how_ended=how_attempt_ended,
    tells_creation=False,
    reads_logs=False,
)
