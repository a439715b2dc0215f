"""What happens to the Job of a unit on the real nodes means the right thing for the unit."""

from __future__ import annotations

import json
import signal

import pytest

from tests.support.cluster.capabilities import NOT_PASSED_ON, OF_BUILDS, capabilities
from tests.support.cluster.jobs import Jobs

pytestmark = pytest.mark.cluster
SLOW = "sleep 15"


def test_a_client_that_was_killed_goes_on_where_it_was(jobs: Jobs) -> None:
    jobs.define(slow="sleep 60")  # the second client looks after a while only
    first = jobs.start()
    jobs.await_build()
    (job,) = jobs.jobs()
    first.signal(signal.SIGKILL)
    second = jobs.build("--json")
    assert second.returncode == 0, second.stderr
    assert "going on with run" in second.stderr
    assert json.loads(second.stdout)["run"] == job["metadata"]["labels"]["dag/run"]
    # Nothing was built twice: there is one log, and it is of the first attempt.
    assert jobs.logs() == ["slow.log"]
    (record,) = jobs.records()
    assert job["metadata"]["labels"]["dag/run"] in record.read_text()


def test_what_ended_while_nobody_looked_is_taken(jobs: Jobs) -> None:
    jobs.define(slow=SLOW)
    first = jobs.start()
    jobs.await_build()
    first.signal(signal.SIGKILL)
    jobs.dag.kubectl("wait", "--for=condition=complete", "jobs", "-l", "dag/arch", "--timeout=240s")
    second = jobs.build()
    assert second.returncode == 0, second.stderr
    assert jobs.logs() == ["slow.log"]
    assert jobs.jobs() == []


def test_ctrl_c_leaves_no_job_behind(jobs: Jobs) -> None:
    jobs.define(one=SLOW, two=SLOW)
    running = jobs.start()
    jobs.await_build()
    running.signal(signal.SIGINT)
    done = running.end()
    assert done.returncode == 130, done.stderr
    assert jobs.jobs() == []
    assert jobs.records() == []
    # The agents keep what was written until then.
    assert jobs.logs()


def test_a_pod_that_somebody_deletes_is_built_again(jobs: Jobs) -> None:
    jobs.define(slow=SLOW)
    running = jobs.start()
    pod = jobs.await_build()
    jobs.dag.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
    done = running.end()
    assert done.returncode == 0, done.stderr
    assert "somebody deleted the pod" in done.stderr
    assert "slow.attempt-2.log" in jobs.logs()


def test_what_is_out_of_memory_gets_twice_as_much(jobs: Jobs) -> None:
    jobs.define(large="head -c 320m /dev/zero | tail >/dev/null")
    done = jobs.build()
    assert done.returncode == 0, done.stderr
    assert "memory" in done.stderr
    assert '"memory":536870912' in jobs.records()[0].read_text()


def test_a_failed_build_is_final_and_shows_its_own_last_words(jobs: Jobs) -> None:
    jobs.define(bad="echo these are my last words; exit 7")
    done = jobs.build()
    assert done.returncode == 1, done.stderr
    assert "these are my last words" in done.stderr
    assert jobs.logs() == ["bad.log"]
    assert jobs.records() == []
    assert jobs.jobs() == []


def test_a_build_container_sees_no_token_no_store_and_no_credential(jobs: Jobs) -> None:
    # No step sees where the API is.
    jobs.define(slow=f"if env | grep -i kubernetes; then exit 9; fi; {SLOW}")
    running = jobs.start()
    # The container itself is looked at: its steps see still less of it.
    pod = jobs.await_build()
    seen = jobs.look_into(pod, "mount; env; cat /proc/1/status")
    assert " /unit " in seen
    found = capabilities(seen)
    assert found == dict.fromkeys(("CapPrm", "CapEff", "CapBnd"), OF_BUILDS) | NOT_PASSED_ON
    agent = jobs.look_into(pod, "cat /proc/1/status", container="collect")
    assert {*capabilities(agent).values()} == {0}
    for secret in ("/dag-store", "/dag-agent", "secrets/kubernetes"):
        assert secret not in seen
    assert running.end().returncode == 0
