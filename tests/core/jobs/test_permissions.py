"""What building as Jobs rests on is asked for."""

from __future__ import annotations

from dag.core.jobs.permissions import permissions_for_jobs
from dag.core.pod.permissions import Permission


def test_events_are_read_which_alone_tell_why_a_job_has_no_pod() -> None:
    assert Permission("list", "events") in permissions_for_jobs(claim=False, out=False)


def test_claims_are_looked_at_only_where_one_is_the_store() -> None:
    claims = Permission("get", "persistentvolumeclaims")
    assert claims in permissions_for_jobs(claim=True, out=False)
    assert claims not in permissions_for_jobs(claim=False, out=False)
