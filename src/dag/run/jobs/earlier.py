"""The Jobs that earlier commands have left in a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.names import StoreInCluster, attempt_of
from dag.core.kube.objects import KubeObject
from dag.core.pod.manifest import RUN_LABEL
from dag.io.kube.api import ApiError, Kube


async def find_jobs(kube: Kube, key: StoreInCluster) -> tuple[KubeObject, ...]:
    """Return the Jobs of units in a store, of any run.

    Raises:
        ApiError: the API server cannot be reached, or refuses.

    """
    jobs = await kube.items(key.jobs_path, labelSelector=key.selector())
    return tuple(one for one in jobs if attempt_of(one) is not None)


async def clear_jobs(
    kube: Kube, settings: JobSettings, jobs: Iterable[KubeObject], say: Callable[[str], None]
) -> None:
    """Delete Jobs of other runs: the store has all that they made, and nobody drives them any more.

    `say` is told of one that cannot be deleted; Kubernetes does it later.
    """
    for one in jobs:
        about = one["metadata"]
        if about["labels"][RUN_LABEL] != settings.run:
            try:
                await kube.delete(
                    f"{settings.key.jobs_path}/{about['name']}",
                    uid=str(about["uid"]),
                    dependents=True,
                )
            except ApiError as error:
                say(f"job {about['name']} of an earlier run could not be deleted: {error.message}")
