"""An API server that has one Job, for tests of what follows Jobs."""

from __future__ import annotations

import json

from tests.support.faults import Answer, Incoming, Origin
from tests.support.podstories import Json

JOBS = "/apis/batch/v1/namespaces/n/jobs"
PODS = "/api/v1/namespaces/n/pods"
EVENTS = "/api/v1/namespaces/n/events"
JOB: Json = {
    "kind": "Job",
    "metadata": {
        "name": "dag-x",
        "namespace": "n",
        "uid": "job",
        "resourceVersion": "1",
        "labels": {},
    },
}


def answer(status: int, found: Json) -> Answer:
    return Answer.of(status, body=json.dumps(found).encode())


def listed(kind: str, items: list[Json]) -> Answer:
    metadata = {"resourceVersion": "7"}
    return answer(200, {"kind": f"{kind}List", "metadata": metadata, "items": items})


KUEUE = "/apis/kueue.x-k8s.io"
WORKLOADS = f"{KUEUE}/v1beta2/namespaces/n/workloads"


def note(api: Origin, **condition: str) -> None:
    """Let Kueue have noted this of each Job."""
    version = {"groupVersion": "kueue.x-k8s.io/v1beta2", "version": "v1beta2"}
    group = {"kind": "APIGroup", "versions": [version], "preferredVersion": version}
    api.handle(KUEUE, lambda _: answer(200, group))
    about = {"name": "w", "uid": "w", "resourceVersion": "1"}
    workload = {"metadata": about, "status": {"conditions": [condition]}}
    api.handle(WORKLOADS, lambda _: listed("Workload", [workload]))


class OneJob:
    """An API with one Job that gets no Pod; its watches tell nothing."""

    def __init__(self, api: Origin) -> None:
        self.exists = False
        api.on("GET", "watch=true").stall()
        api.handle(JOBS, self._jobs)
        api.handle(f"{JOBS}/dag-x", self._one)
        api.handle(PODS, lambda _: listed("Pod", []))
        api.handle(EVENTS, lambda _: listed("Event", []))

    def _jobs(self, request: Incoming) -> Answer:
        if request.method == "POST":
            self.exists = True
            return answer(201, JOB)
        return listed("Job", [JOB] if self.exists else [])

    def _one(self, request: Incoming) -> Answer:
        if not self.exists:
            return answer(404, {"kind": "Status", "message": "not found", "code": 404})
        if request.method == "DELETE":
            self.exists = False
            return answer(200, {"kind": "Status", "status": "Success"})
        return answer(200, JOB)
