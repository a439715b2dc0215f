"""Asks Kueue, whose objects have another version in each of its releases, about a queue and a Job in it."""

from __future__ import annotations

from collections.abc import Sequence

from dag.core.jobs.queues import (
    GROUP,
    JOB_UID_LABEL,
    has_no_turn,
    how_turn_was_lost,
    why_it_waits,
)
from dag.core.kube.objects import KubeView
from dag.core.pod.ending import Ending
from dag.io.kube.api import ApiError, Kube
from dag.run.pod.access import read_object


class QueueTurn:
    """The turn of one Job in its queue: whether it came, and went again before the Job's Pod had ended."""

    def __init__(self, queue: str | None) -> None:
        """Take the queue of the Job; None if it is in none, and then its turn is never lost."""
        self._queue = queue
        self._job: KubeView = {}
        self._has_run = False
        self.is_lost = False
        self.ending: Ending | None = None
        """How the Job lost its turn, as far as it was asked for."""

    def note(self, job: KubeView) -> bool:
        """Take news of the Job; return whether it has just lost its turn.

        It may get another turn while its Pod is still being ended, and then nothing tells of this one.
        """
        if _generation(job) < _generation(self._job):
            return False  # what was read of the Job is newer than what its watch tells now
        self._job = job
        if self._queue is None or not has_no_turn(job):
            self._has_run = True
            return False
        has_lost = self._has_run
        self._has_run, self.is_lost = False, self.is_lost or has_lost
        return has_lost

    async def ask(self, kube: Kube) -> None:
        """Ask Kueue how the Job lost its turn."""
        workloads = await read_workloads(kube, self._job)
        self.ending = how_turn_was_lost(self._queue or "", workloads)

    async def why_it_waits(self, kube: Kube) -> str:
        """Return the words for a Job that waits for its turn; empty if it is in no queue."""
        if self._queue is None or not self._job:
            return ""
        return why_it_waits(self._queue, await read_workloads(kube, self._job))


def _generation(job: KubeView) -> int:
    """Return how often what a Job is to be was changed; a turn that comes or goes is such a change."""
    return int(job.get("metadata", {}).get("generation", 0))


async def read_version(kube: Kube) -> str | None:
    """Return the version of Kueue's API, such as `kueue.x-k8s.io/v1beta2`; None without Kueue.

    Raises:
        ApiError: the API server cannot be reached.

    """
    group = await kube.find(f"/apis/{GROUP}")
    return None if group is None else str(group["preferredVersion"]["groupVersion"])


async def read_queue(kube: Kube, version: str, namespace: str, name: str) -> KubeView | None:
    """Return a queue; None if there is none.

    Raises:
        Unreadable: this user may not read it.
        ApiError: the API server cannot be reached.

    """
    return await read_object(kube, f"/apis/{version}/namespaces/{namespace}/localqueues/{name}")


async def read_workloads(kube: Kube, job: KubeView) -> Sequence[KubeView]:
    """Return what Kueue has noted of a Job; nothing if it may not be read."""
    about = job["metadata"]
    try:
        version = await read_version(kube)
        if version is None:
            return ()
        path = f"/apis/{version}/namespaces/{about['namespace']}/workloads"
        return await kube.items(path, labelSelector=f"{JOB_UID_LABEL}={about['uid']}")
    except ApiError:
        return ()
