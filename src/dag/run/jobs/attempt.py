"""Runs the watch of one Job's Pod: it makes the Job, and decides nothing.

It is to Jobs what `dag.run.pod.follow` is to single Pods: what happens becomes an event for
`dag.core.pod.watch`, and what that returns is done here.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dag.core.jobs.ending import how_job_ended
from dag.core.jobs.manifest import COLLECT
from dag.core.jobs.names import jobs_path
from dag.core.jobs.queues import queue_of
from dag.core.kube.objects import KubeObject, KubeView
from dag.core.limits import TooLarge
from dag.core.pod.ending import Cause, Ending
from dag.core.pod.events import (
    DeletePod,
    DeletionAccepted,
    FindPod,
    InterruptRequested,
    PodCreated,
    PodEventSeen,
    PodNotCreated,
    PodResult,
    PodSeen,
    Tell,
    WatchFailed,
)
from dag.core.pod.manifest import BUILD
from dag.core.pod.states import WatchRules, WatchState, WatchTrigger
from dag.core.pod.status import containers, has_ended
from dag.errors import DagError, InfrastructureError
from dag.io.kube.api import ApiError, Kube
from dag.run.jobs.logs import read_lines
from dag.run.jobs.news import JobGone, JobNews, JobSeen, RunNews
from dag.run.jobs.queues import QueueTurn
from dag.run.pod.access import events_about
from dag.run.pod.driver import Outward, WatchDriver

_PATIENCE = 600.0
"""Seconds for which a request is repeated while the API server does not answer."""
_SAID = "dag: "
"""It stands before what an agent says."""
_LAG = 10.0
"""Seconds by which news of Pods may be later than those of Jobs."""
_LOOK = 20.0
"""Seconds until the first look at why nothing runs; each next pause is longer."""
_LONGEST_LOOK = 300.0
_REFUSED = 120.0
"""Seconds for which a Job is waited for whose Pod the API server refuses: quotas become free."""
_WITHOUT_POD = 600.0
"""Seconds for which a Job is waited for of which nobody says why it has no Pod."""


class JobFollower:
    """One Job, followed from its creation to the end of its Pod's work."""

    def __init__(
        self,
        kube: Kube,
        news: RunNews,
        manifest: KubeObject,
        rules: WatchRules,
        tell: Callable[[str], None],
    ) -> None:
        """Take the manifest of the Job; `tell` is told why it waits, if that takes long."""
        self._driver = WatchDriver(rules, self._execute)
        self.watch = self._driver.watch
        self._kube = kube
        self._news = news
        self._manifest = manifest
        self._name = str(manifest["metadata"]["name"])
        self._path = jobs_path(manifest["metadata"]["namespace"])
        self._turn = QueueTurn(queue_of(manifest))
        self._creation: asyncio.Task[None] | None = None
        self._job: KubeObject | None = None
        self._hopeless_at = math.inf
        """When the Job is given up if it has no Pod by then."""
        self._given_up = ""
        """Why it was; empty if it was not."""
        self.started = asyncio.Event()
        """It is set as soon as the main container has begun."""
        self._say = tell
        self._why = ""
        """What was told last of why the Pod waits."""
        self._lag: asyncio.TimerHandle | None = None
        """What ends the wait for a Pod whose Job has ended."""

    @property
    def pod(self) -> KubeView:
        """Return the Job's Pod as it was seen last; empty if there was none."""
        return self.watch.pod

    async def run(self) -> PodResult:
        """Make the Job, or adopt the one that is there, and return how its Pod's work ended.

        When the task is cancelled, the Job is deleted unless it is abandoned, and CancelledError raised
        when it is gone.

        Raises:
            DagError: the Job could not be made, or contact was lost for good.

        """
        self._creation = self._driver.spawn(self._create())
        self._driver.spawn(self._explain())
        interrupted = False
        ends: list[asyncio.Future[Any]] = [self._driver.result, self._news.failed]
        try:
            while not self._driver.result.done():
                try:
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                except asyncio.CancelledError:
                    if self._news.is_abandoned:
                        raise
                    interrupted = True
                    task = asyncio.current_task()
                    assert task is not None  # noqa: S101  # it has just been cancelled
                    task.uncancel()  # what follows is not to be cut short by what asked for it
                    self._driver.tell(InterruptRequested())
                if self._news.failed.done() and not self._driver.result.done():
                    self._news.failed.result()
            if interrupted:
                self._tell_leftover()
                raise asyncio.CancelledError
            return self._driver.result.result()
        finally:
            if self._lag is not None:
                self._lag.cancel()  # it would keep all this for as long
            await self._driver.close()
            self._news.leave(self._name)

    async def explained(self, ending: Ending) -> Ending:
        """Return how a Pod's work ended; of a Pod that the queue of its Job has taken away it says that."""
        if ending.cause not in (Cause.DELETED, Cause.START) or not self._turn.is_lost:
            return ending
        if self._turn.ending is None:
            await self._turn.ask(self._kube)
        return self._turn.ending or ending

    def _tell_leftover(self) -> None:
        """Tell what may be left behind; that it was interrupted is known."""
        error, last = self._driver.result.exception(), self.watch.history[-1][1]
        if isinstance(error, DagError) and last in (WatchTrigger.FAILED, WatchTrigger.LEFT):
            self._say(error.message)

    async def remove(self) -> None:
        """Delete the Job and its Pod; if that fails, Kubernetes does it later."""
        with suppress(ApiError):
            await self._delete_job(patience=_PATIENCE)

    def _hear(self, news: JobNews) -> None:
        match news:
            case JobGone():
                if self._job is not None:
                    self._end_without_pod(self._given_up or "somebody deleted the Job")
            case JobSeen(job):
                if self._turn.note(job):
                    self._driver.spawn(self._turn.ask(self._kube))
                if self._lag is None and (why := how_job_ended(job)):
                    # News of its Pod come by another watch, and may come later.
                    told, loop = f"the Job has no pod: {why}", asyncio.get_running_loop()
                    self._lag = loop.call_later(_LAG, self._end_without_pod, told)
            case _:
                if isinstance(news, PodSeen) and self.watch.state is WatchState.CREATING:
                    self._driver.tell(PodCreated(news.pod))
                self._driver.tell(news)
                if self.watch.state is WatchState.WORKING:
                    self.started.set()

    def _execute(self, action: Outward) -> None:
        match action:
            case DeletePod(patience):
                self._driver.spawn(self._delete(patience))
            case FindPod(patience):
                self._driver.spawn(self._give_up(patience))
            case Tell(text):
                self._why = text
            case _:
                pass

    def _end_without_pod(self, why: str) -> None:
        if self.watch.state is WatchState.CREATING:
            self._driver.tell(WatchFailed(InfrastructureError(why)))

    # ---- requests -----------------------------------------------------------------------------

    async def _create(self) -> None:
        try:
            self._job = await self._kube.create_named(
                self._path, self._manifest, patience=_PATIENCE
            )
        except ApiError as error:
            if error.status != 409:
                raise
            await self._delete_job(_PATIENCE)  # two would do the same work
            raise InfrastructureError(
                "its Job was made of other inputs than there are now, and is deleted"
            ) from error
        if queue_of(self._manifest) is None:
            self._hopeless_at = self._driver.now + _WITHOUT_POD
        # Not before: how a Job ended that was made of something else, such as another environment, says
        # nothing of this attempt.
        self._news.listen(self._name, self._hear)
        self._hear(JobSeen(self._job))  # one that is adopted may have ended

    async def _explain(self) -> None:
        """Tell why nothing runs, as long as that is so, and give up what gets no Pod."""
        said = ""
        pause = _LOOK
        while True:
            await asyncio.sleep(pause)
            match self.watch.state:
                case WatchState.CREATING | WatchState.WAITING:
                    await self._look_at_events()
                    pause = min(1.5 * pause, _LONGEST_LOOK)  # hundreds may wait for hours
                case WatchState.WORKING if has_ended(containers(self.pod).get(BUILD, {})):
                    await self._look_at_agent()
                    pause = _LOOK
                case _:
                    pause = _LOOK
                    continue
            if self._why not in ("", said):
                said = self._why
                self._say(said)
            if self.watch.state is WatchState.CREATING and self.watch.has_news:
                await self._give_up_without_pod()

    async def _look_at_events(self) -> None:
        about = self.watch.pod or self._job
        if not self.watch.pod:
            self._why = await self._turn.why_it_waits(self._kube) or self._why
        for event in await events_about(self._kube, about) if about else ():
            if self.watch.pod:
                self._driver.tell(PodEventSeen(event))
            elif event.get("reason") == "FailedCreate":
                self._why = f"the Job cannot make its pod: {event.get('message', '')}"
                self._hopeless_at = min(self._hopeless_at, self._driver.now + _REFUSED)

    async def _look_at_agent(self) -> None:
        """Take the last word of the agent that has still not kept what was built."""
        self._why = ""  # why nothing ran before is past
        with suppress(ApiError, TooLarge):
            # A record that is too long for its last words is there, too.
            for line in await read_lines(self._kube, self.pod, COLLECT, tail=1):
                if line.startswith(_SAID):
                    self._why = line.removeprefix(_SAID)

    async def _give_up_without_pod(self) -> None:
        """Delete the Job if it should have its Pod by now: else another attempt would not be alone."""
        if self._driver.now > self._hopeless_at:
            self._given_up = self._why or f"the Job has no pod after {_WITHOUT_POD:g} s"
            await self._delete_job(_PATIENCE)
            self._end_without_pod(self._given_up)

    async def _delete(self, patience: float) -> None:
        self._driver.tell(DeletionAccepted(await self._delete_job(patience)))

    async def _give_up(self, patience: float) -> None:
        if self._creation is not None:  # what it makes after the look would stay
            await asyncio.wait([self._creation], timeout=patience)
        await self._delete_job(patience)
        self._driver.tell(PodNotCreated())

    async def _delete_job(self, patience: float) -> bool:
        path = f"{self._path}/{self._name}"
        if self._job is None:  # it may have been made, and the answer lost
            self._job = await self._kube.find(path, patience=patience)
        if self._job is None:
            return False
        uid = str(self._job["metadata"]["uid"])
        return await self._kube.delete(path, uid=uid, dependents=True, patience=patience)
