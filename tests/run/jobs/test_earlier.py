"""Jobs of earlier runs go, and one that cannot be deleted stops nothing."""

from __future__ import annotations

from dataclasses import replace

from dag.io.kube.api import Kube
from dag.run.jobs.earlier import clear_jobs
from tests.run.jobs.conftest import JOBS, answer
from tests.support.faults import Answer, Incoming, Origin
from tests.support.orders import SETTINGS
from tests.support.podstories import Json


def job(name: str, run: str) -> Json:
    return {"metadata": {"name": name, "uid": name, "labels": {"dag/run": run}}}


async def test_what_nobody_drives_is_deleted_and_a_refusal_is_said(
    origin: Origin, kube: Kube
) -> None:
    deleted: list[str] = []

    def refuse(request: Incoming) -> Answer:
        return answer(405, {"kind": "Status", "message": "a webhook says no", "code": 405})

    def delete(request: Incoming) -> Answer:
        deleted.append(request.target.rpartition("/")[2])
        return answer(200, {"kind": "Status", "status": "Success"})

    origin.handle(f"{JOBS}/one", refuse)
    for name in ("two", "mine"):
        origin.handle(f"{JOBS}/{name}", delete)
    jobs = [job("one", "before"), job("two", "before"), job("mine", "now")]
    said: list[str] = []
    await clear_jobs(kube, replace(SETTINGS, namespace="n", run="now"), jobs, said.append)
    assert deleted == ["two"]
    assert said == ["job one of an earlier run could not be deleted: a webhook says no"]
