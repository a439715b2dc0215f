"""The Jobs that earlier commands have left in a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.names import attempt_of, selector
from dag.core.kube.objects import KubeObject
from dag.core.pod.manifest import RUN_LABEL
from dag.io.kube.api import ApiError, Kube
from dag.run.jobs.attempt import jobs_path


async def find_jobs(kube: Kube, settings: JobSettings) -> tuple[KubeObject, ...]:
    """Return the Jobs of units in the store and for the architecture of some settings, of any run.

    Raises:
        ApiError: the API server cannot be reached, or refuses.

    """
    chosen = selector(settings.arch.apk, str(settings.store))
    jobs = await kube.items(jobs_path(settings.namespace), labelSelector=chosen)
    return tuple(one for one in jobs if attempt_of(one) is not None)


async def clear_jobs(
    kube: Kube, settings: JobSettings, jobs: Iterable[KubeObject], say: Callable[[str], None]
) -> None:
    """Delete Jobs of other runs: the store has all that they made, and nobody drives them any more.

    `say` is told of one that cannot be deleted; Kubernetes does it later.
    """
    path = jobs_path(settings.namespace)
    for one in jobs:
        about = one["metadata"]
        if about["labels"][RUN_LABEL] != settings.run:
            try:
                await kube.delete(f"{path}/{about['name']}", uid=str(about["uid"]), dependents=True)
            except ApiError as error:
                say(f"job {about['name']} of an earlier run could not be deleted: {error.message}")
