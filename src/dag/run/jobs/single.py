"""Runs a Job that is for no unit, such as an agent's, to the end of its Pod."""

from __future__ import annotations

from collections.abc import Callable

from dag.core.kube.objects import KubeObject
from dag.core.pod.events import PodResult
from dag.core.pod.states import WatchRules
from dag.io.kube.api import Kube
from dag.run.jobs.attempt import JobFollower
from dag.run.jobs.news import RunNews


async def run_job(
    kube: Kube, manifest: KubeObject, rules: WatchRules, tell: Callable[[str], None]
) -> tuple[PodResult, JobFollower]:
    """Make a Job whose labels no other has; return how its Pod ended, and what has followed it.

    Raises:
        DagError: the Job could not be made, or contact was lost for good.

    """
    metadata = manifest["metadata"]
    marks = {name: value for name, value in metadata["labels"].items() if "dag/" in name}
    selector = ",".join(f"{name}={value}" for name, value in marks.items())
    news = RunNews(kube, metadata["namespace"], selector)
    news.open()
    try:
        follower = JobFollower(kube, news, manifest, rules, tell)
        return await follower.run(), follower
    finally:
        await news.close()
