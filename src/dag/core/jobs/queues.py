"""Reads off what Kueue knows of a Job why that waits in its queue, or has lost its turn.

https://kueue.sigs.k8s.io/docs/concepts/workload/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dag.core.kube.objects import KubeView
from dag.core.pod.ending import Cause, Ending
from dag.core.pod.permissions import Permission

GROUP = "kueue.x-k8s.io"
QUEUE_LABEL = f"{GROUP}/queue-name"
"""https://kueue.sigs.k8s.io/docs/tasks/run/jobs/"""
JOB_UID_LABEL = f"{GROUP}/job-uid"
"""The label with which Kueue says for which Job a Workload is."""
QUEUE_PERMISSIONS = (
    Permission("get", "localqueues", group=GROUP),
    Permission("list", "workloads", group=GROUP),
)
"""Not needed, but without it nobody is told that a queue is not there, or why Jobs wait in it."""
_FOR_OTHERS = frozenset({"Preempted", "ClusterQueueStopped", "LocalQueueStopped", "NodeFailures"})
"""The reasons of Kueue to end a Job that have nothing to do with the Job itself.

https://github.com/kubernetes-sigs/kueue/blob/v0.17.0/apis/kueue/v1beta2/workload_types.go
"""


def queue_of(job: KubeView) -> str | None:
    """Return the queue of a Job; None if it is in none."""
    queue = (job["metadata"].get("labels") or {}).get(QUEUE_LABEL)
    return None if queue is None else str(queue)


def has_no_turn(job: KubeView) -> bool:
    """Return whether a Job may not run now: its turn has not come, or was taken from it."""
    return bool(job.get("spec", {}).get("suspend"))


def why_it_waits(queue: str, workloads: Iterable[KubeView]) -> str:
    """Return the words for a Job that waits in a queue; `workloads` are those of the Job."""
    said = next(_conditions(workloads, "QuotaReserved", "False"), {}).get("message", "")
    return f"the Job waits in queue {queue}" + (f": {said}" if said else "")


def how_turn_was_lost(queue: str, workloads: Iterable[KubeView]) -> Ending:
    """Return the ending of a Pod whose Job may not run any more; `workloads` are those of the Job.

    As far as it is known, what Kueue did for the sake of others is told from what was due to the Job.
    """
    told = next(_conditions(workloads, "Evicted", "True"), {})
    message = str(told.get("message", ""))
    words = f"queue {queue} has taken back the turn of the Job"
    is_for_others = told.get("reason", "Preempted") in _FOR_OTHERS
    return Ending(
        Cause.PREEMPTED if is_for_others else Cause.DELETED,
        f"{words}: {message}" if message else words,
        "nothing is wrong with the packages: run it again" if is_for_others else None,
    )


def _conditions(workloads: Iterable[KubeView], kind: str, status: str) -> Iterator[KubeView]:
    for workload in workloads:
        for one in workload.get("status", {}).get("conditions", ()):
            if (one.get("type"), one.get("status")) == (kind, status):
                yield one
