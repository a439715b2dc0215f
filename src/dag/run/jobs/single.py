"""Runs a Job that is for no unit, such as an agent's, to the end of its Pod."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

from dag.core.kube.objects import KubeObject
from dag.core.pod.ending import Cause
from dag.core.pod.events import PodResult
from dag.core.pod.states import WatchRules
from dag.errors import DagError
from dag.io.kube.api import Kube
from dag.run.jobs.attempt import JobFollower
from dag.run.jobs.news import RunNews

Meanwhile = Callable[[JobFollower], Coroutine[None, None, None]]
"""What a client does while an agent works for it, such as fetching what that serves."""


async def run_job(
    kube: Kube,
    manifest: KubeObject,
    rules: WatchRules,
    tell: Callable[[str], None],
    meanwhile: Meanwhile | None = None,
) -> tuple[PodResult, JobFollower]:
    """Make a Job whose labels no other has; return how its Pod ended, and what has followed it.

    Raises:
        DagError: the Job could not be made, contact was lost for good, or `meanwhile` failed.

    """
    metadata = manifest["metadata"]
    marks = {name: value for name, value in metadata["labels"].items() if "dag/" in name}
    selector = ",".join(f"{name}={value}" for name, value in marks.items())
    news = RunNews(kube, metadata["namespace"], selector)
    news.open()
    try:
        follower = JobFollower(kube, news, manifest, rules, tell)
        result = await _run_beside(follower, meanwhile)
        return replace(result, ending=await follower.explained(result.ending)), follower
    finally:
        await news.close()


async def _run_beside(
    follower: JobFollower,
    meanwhile: Meanwhile | None,
) -> PodResult:
    if meanwhile is None:
        return await follower.run()
    work = asyncio.create_task(meanwhile(follower))
    following = asyncio.create_task(follower.run())
    try:
        await asyncio.wait((work, following), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()  # if it has failed, it has not told the agent to end
        result = await following
        if result.ending.cause is Cause.DONE:  # because the work has told the agent to end
            await work
    except DagError:
        await follower.remove()
        raise
    finally:
        for task in (work, following):
            task.cancel()
        await asyncio.gather(work, following, return_exceptions=True)
    return result
