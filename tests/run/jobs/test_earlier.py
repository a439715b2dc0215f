"""Jobs of earlier runs go, and one that cannot be deleted stops nothing."""

from __future__ import annotations

from dataclasses import replace

from dag.io.kube.api import Kube
from dag.run.jobs.earlier import clear_jobs
from tests.run.jobs.conftest import JOBS, answer
from tests.support.faults import Answer, Incoming, Origin
from tests.support.orders import SETTINGS
from tests.support.podstories import Json

ENDED: Json = {"conditions": [{"type": "Complete", "status": "True"}]}


def job(name: str, run: str, status: Json) -> Json:
    labels = {"dag/run": run}
    return {"metadata": {"name": name, "uid": name, "labels": labels}, "status": status}


async def test_what_has_ended_is_deleted_and_a_refusal_is_said(origin: Origin, kube: Kube) -> None:
    deleted: list[str] = []

    def refuse(request: Incoming) -> Answer:
        return answer(405, {"kind": "Status", "message": "a webhook says no", "code": 405})

    def delete(request: Incoming) -> Answer:
        deleted.append(request.target.rpartition("/")[2])
        return answer(200, {"kind": "Status", "status": "Success"})

    origin.handle(f"{JOBS}/one", refuse)
    for name in ("two", "alive", "mine"):
        origin.handle(f"{JOBS}/{name}", delete)
    jobs = [
        job("one", "before", ENDED),
        job("two", "before", ENDED),
        job("alive", "before", {}),
        job("mine", "now", ENDED),
    ]
    said: list[str] = []
    await clear_jobs(kube, replace(SETTINGS, namespace="n", run="now"), jobs, said.append)
    assert deleted == ["two"]
    assert said == ["job one of an earlier run could not be deleted: a webhook says no"]
