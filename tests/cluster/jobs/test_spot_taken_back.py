"""A node that a cloud takes back costs no unit."""

from __future__ import annotations

import pytest

from dag.core.jobs.names import job_name
from tests.cluster.jobs.test_spot import GKE
from tests.support.cluster.jobs import Jobs

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.torture(only=True),
    pytest.mark.usefixtures("alone"),
]


def test_a_unit_whose_spot_node_is_taken_back_is_built_elsewhere(jobs: Jobs) -> None:
    dag, cluster = jobs.dag, jobs.dag.cluster
    usual, taken_back = cluster.nodes
    jobs.define(one="echo building; sleep 20")
    try:
        dag.kubectl("label", "node", taken_back, GKE)
        dag.kubectl("taint", "node", taken_back, f"{GKE}:NoSchedule")
        running = jobs.start("--spot")
        assert jobs.await_build("one")["spec"]["nodeName"] == taken_back
        # The machine is gone, and then the cloud says so.
        cluster.stop_node(taken_back)
        dag.kubectl("delete", "node", taken_back)
        running.await_line(rf"one: node {taken_back} no longer exists")
        done = running.end()
    finally:
        # As a new one it has neither the label nor the taint.
        dag.kubectl("delete", "node", taken_back, "--ignore-not-found")
        cluster.restart_kubelet(taken_back)
        cluster.wait_until_ready()
    assert done.returncode == 0, done.stderr
    # What has run on there all the same may have been proven meanwhile.
    run = max(path.name for path in jobs.store.glob(".dag/runs/*"))
    where = [jobs.nodes()[job_name(run, "one", "x86_64", attempt)] for attempt in (1, 2)]
    assert where == [taken_back, usual]
    assert jobs.jobs() == []
