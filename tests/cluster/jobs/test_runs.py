"""A run in the cluster is found, told of, driven by one client and ended from any machine."""

from __future__ import annotations

import signal

import pytest

from tests.support.builds import definition
from tests.support.cluster.jobs import Jobs
from tests.support.schema import checked

pytestmark = pytest.mark.cluster
LONG = "echo it has begun; sleep 200"


def test_a_run_is_seen_and_cancelled_from_another_machine(jobs: Jobs) -> None:
    jobs.define(first="echo it is quick")
    (jobs.directory / "slow.yaml").write_text(definition("slow", "first", runs=LONG))
    running = jobs.start()
    jobs.await_build("slow", "it has begun")
    seen = jobs.elsewhere("status")
    assert seen.returncode == 0, seen.stderr
    assert "building slow" in seen.stdout
    refused = jobs.elsewhere(*jobs.words())
    assert refused.returncode == 3
    assert "drives run" in refused.stderr
    assert "1 of 2 packages are done" in refused.stderr
    cancelled = jobs.elsewhere("cancel", "--json")
    assert cancelled.returncode == 0, cancelled.stderr
    assert checked(cancelled.stdout, "cancelled")["store"] == jobs.url
    assert jobs.jobs() == []
    # The agent that has kept what there is of the run may still be on its way out.
    jobs.dag.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=240s")
    done = running.end()
    assert done.returncode == 130
    assert "is cancelled" in done.stderr
    # What is proven stays, and the next run builds the rest alone.
    assert len(jobs.records()) == 1
    again = jobs.elsewhere("status")
    assert "interrupted" in again.stdout


def test_what_nobody_drives_any_more_is_cancelled(jobs: Jobs) -> None:
    jobs.define(slow=LONG)
    running = jobs.start()
    jobs.await_build()
    running.signal(signal.SIGKILL)
    cancelled = jobs.elsewhere("cancel")
    assert cancelled.returncode == 0, cancelled.stderr
    assert "taking over" in cancelled.stderr
    assert jobs.jobs() == []
    nothing = jobs.elsewhere("cancel")
    assert nothing.returncode == 2
    assert "nothing is being built" in nothing.stderr


def test_the_log_of_a_unit_is_read_while_it_is_built_and_later(jobs: Jobs) -> None:
    jobs.define(slow="echo said-first; sleep 45; echo said-last")
    running = jobs.start()
    jobs.await_build("slow", "said-first")
    followed = jobs.elsewhere("logs", "-f", "slow")
    assert followed.returncode == 0, followed.stderr
    assert "said-first" in followed.stdout
    assert "said-last" in followed.stdout
    assert running.end(400).returncode == 0
    later = jobs.elsewhere("logs", "slow")
    assert "said-last" in later.stdout
    status = jobs.elsewhere("status")
    assert status.returncode == 0, status.stderr
    assert "1 built" in status.stdout
