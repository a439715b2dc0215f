"""The Pods and Jobs of a run: one list and one watch for each kind, however many units there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from dag.core.jobs.names import JOB_LABEL, jobs_path, pods_path
from dag.core.kube.objects import KubeObject
from dag.core.pod.events import NewsResumed, NewsStopped, PodGone, PodNews, PodSeen
from dag.io.kube.api import Kube
from dag.io.kube.watch import Change, Listed, ObjectGone, ObjectSeen, WatchStopped, watch_objects

_PATIENCE = 3600.0
"""Seconds for which an API server that does not answer is waited for: a run may take days."""


@dataclass(frozen=True, slots=True)
class JobSeen:
    """The Job as a list or a watch shows it."""

    job: KubeObject


@dataclass(frozen=True, slots=True)
class JobGone:
    """The Job is no longer in the API."""


JobNews = PodNews | JobSeen | JobGone
"""What is new about a Job and its Pod."""
Listener = Callable[[JobNews], None]


class RunNews:
    """What happens to the Jobs of a run, told to whoever follows each of them."""

    def __init__(self, kube: Kube, namespace: str, selector: str) -> None:
        """Take the label selector that all Jobs and Pods of the run have."""
        self._kube = kube
        self._namespace = namespace
        self._selector = selector
        self._listeners: dict[str, Listener] = {}
        self._pods: dict[str, KubeObject] = {}
        """The newest Pod of each Job, by the Job's name."""
        self._tasks: list[asyncio.Task[None]] = []
        self.is_abandoned = False
        """Whether whoever follows a Job leaves it alone when told to stop."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """It gets the error with which the news ended for good."""

    def open(self) -> None:
        """Begin to watch."""
        watches = (
            (pods_path(self._namespace), self._take_pod),
            (jobs_path(self._namespace), self._take_job),
        )
        for path, take in watches:
            task = asyncio.create_task(self._follow(path, take))
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def close(self) -> None:
        """End the watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def listen(self, job: str, listener: Listener) -> None:
        """Tell `listener` what happens to a Job from now on, beginning with its Pod if there is one."""
        self._listeners[job] = listener
        if (pod := self._pods.get(job)) is not None:
            listener(PodSeen(pod))

    def leave(self, job: str) -> None:
        """Tell nobody any more what happens to a Job."""
        self._listeners.pop(job, None)
        self._pods.pop(job, None)

    async def _follow(self, path: str, take: Callable[[Change], None]) -> None:
        changes = watch_objects(self._kube, path, patience=_PATIENCE, labelSelector=self._selector)
        async for change in changes:
            take(change)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self.failed.done():
            self.failed.set_exception(error)

    def _take_pod(self, change: Change) -> None:
        match change:
            case ObjectSeen(pod):
                job = _job_of(pod)
                self._pods[job] = pod  # who adopts a Job listens later
                self._tell(job, PodSeen(pod))
            case ObjectGone(pod):
                self._pods.pop(_job_of(pod), None)
                self._tell(_job_of(pod), PodGone(pod))
            case Listed():
                self._tell_all(NewsResumed())
            case WatchStopped():
                self._tell_all(NewsStopped())
            case _:
                assert_never(change)

    def _take_job(self, change: Change) -> None:
        if isinstance(change, ObjectSeen | ObjectGone):
            news = JobSeen(change.item) if isinstance(change, ObjectSeen) else JobGone()
            self._tell(str(change.item["metadata"]["name"]), news)

    def _tell(self, job: str, news: JobNews) -> None:
        if (listener := self._listeners.get(job)) is not None:
            listener(news)

    def _tell_all(self, news: PodNews) -> None:
        for listener in list(self._listeners.values()):
            listener(news)


def _job_of(pod: KubeObject) -> str:
    return str(pod["metadata"].get("labels", {}).get(JOB_LABEL, ""))
