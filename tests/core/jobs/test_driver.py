"""The Job of a driver has an account of its own, no store and no secret, and gets Pod after Pod."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dag.core.jobs.driver import (
    DRIVER_ACCOUNT,
    driver_job,
    driver_name,
    is_driver,
    is_driver_for,
)
from dag.core.jobs.ending import has_job_ended
from dag.core.jobs.manifest import agent_job, unit_job
from dag.core.jobs.names import StoreInCluster
from dag.core.store.buckets import Bucket
from tests.core.jobs.test_manifest import RESOURCES
from tests.support.orders import SETTINGS, order

MARK = "a" * 64


def job(**changes: Any) -> dict[str, Any]:
    return driver_job(replace(SETTINGS, **changes), ["packed", "$(HOME)"], MARK)


def test_it_runs_as_its_own_account_and_has_nothing_that_agents_have() -> None:
    made = job(store=Bucket.parse("s3://bucket/wolfi"), bucket_secret="bucket")
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == (
        DRIVER_ACCOUNT,
        True,
    )
    assert "envFrom" not in container
    assert [one["name"] for one in pod["volumes"]] == ["agent"]
    assert container["args"] == ["drive", "packed", "$$(HOME)"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert all(one["value"].startswith("/dag-agent") for one in container["env"])
    assert pod["hostUsers"] is False


def test_no_pod_of_a_unit_or_of_an_agent_has_that_account() -> None:
    for one in (unit_job(SETTINGS, order(), RESOURCES), agent_job(SETTINGS, "x", "list-store", [])):
        assert DRIVER_ACCOUNT not in str(one)


def test_another_pod_is_made_where_one_is_lost_and_no_time_ends_it() -> None:
    spec = job(timeout=60.0)["spec"]
    assert spec["backoffLimit"] > 5
    assert spec["podReplacementPolicy"] == "TerminatingOrFailed"
    assert "activeDeadlineSeconds" not in spec
    assert spec["ttlSecondsAfterFinished"] == 24 * 3600


def test_a_run_has_one_driver_in_a_store() -> None:
    there, elsewhere = (StoreInCluster("n", "x86_64", f"pvc://{one}") for one in "ab")
    other = replace(there, arch="aarch64")
    assert driver_name("r", there) == driver_name("r", other) != driver_name("r", elsewhere)
    assert len(driver_name("20260101-000000-000abc", there)) < 50


@pytest.mark.parametrize(
    ("status", "alive"),
    [
        ({}, True),
        ({"conditions": [{"type": "Suspended", "status": "True"}]}, True),
        ({"conditions": [{"type": "Complete", "status": "False"}]}, True),
        ({"conditions": [{"type": "Complete", "status": "True"}]}, False),
        ({"conditions": [{"type": "Failed", "status": "True"}]}, False),
    ],
)
def test_a_driver_is_known_by_what_it_was_asked_for_while_it_lives(
    status: dict[str, Any], alive: bool
) -> None:
    found = {**job(), "status": status}
    assert is_driver(found)
    assert has_job_ended(found) is not alive
    assert is_driver_for(found, MARK) is alive
    assert not is_driver_for(found, "b" * 64)
    assert not is_driver(unit_job(SETTINGS, order(), RESOURCES))
