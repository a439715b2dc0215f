"""A client of Jobs dies at each kind of transition, and the next one goes on from another machine."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.support.builds import definition
from tests.support.cluster.jobs import Jobs
from tests.support.cluster.running import CHECKOUT
from tests.support.dying import VARIABLE
from tests.support.moments import END, LAST, MOMENTS, SAME, everything
from tests.torture.kills import environment

pytestmark = [pytest.mark.cluster, pytest.mark.torture(only=True)]

HUNGRY = "head -c 300000000 /dev/zero | tail -n 1 | wc -c"
MEMORY = ("OutOfMemory COME hungry0", "OutOfMemory WRITTEN hungry1", "Retry BEGUN hungry2")
MORE = {
    f"hungry{number}": definition(f"hungry{number}", needs, runs=HUNGRY)
    for number, needs in enumerate((LAST, "hungry0", "hungry1"))
}


@pytest.mark.timeout(1800)
def test_a_client_that_dies_at_any_transition_is_followed_by_one_elsewhere(jobs: Jobs) -> None:
    all_of_it = everything()
    jobs.define()
    jobs.write({**all_of_it.before, **MORE})
    dag = jobs.dag
    dag.environment["PYTHONPATH"] += f":{CHECKOUT}"
    dag.environment["SOURCE_DATE_EPOCH"] = environment()["SOURCE_DATE_EPOCH"]
    first = jobs.build(*SAME)
    assert first.returncode == 0, first.stderr
    jobs.write(all_of_it.files)
    words = jobs.words("-j", "9", "--rebuild", "dependents")
    built: list[str] = []
    for number, moment in enumerate((*MOMENTS, *MEMORY, *END)):
        dag.environment[VARIABLE] = moment
        dag.environment["XDG_CACHE_HOME"] = jobs.another(str(number % 3))
        dead = dag.run("tests.support.dying", *words).end(600)
        assert dead.returncode == -9, f"{dead.stderr}\nit should have died at: {moment}"
        built += [line.split()[2] for line in dead.stderr.splitlines() if "dag: built " in line]
    assert len(built) == len(set(built)), "what had a record was built again"
    last = dag(*words, timeout=600)
    assert last.returncode == 1, last.stderr
    assert "FAILED broken 1-r0" in last.stderr
    assert jobs.jobs() == []
    created = json.loads(
        dag.kubectl("get", "events", "-o", "json", "--field-selector=reason=SuccessfulCreate")
    )
    # Each client tries what has failed again, by a new Job of the same name.
    pods = Counter(event["involvedObject"]["uid"] for event in created["items"])
    assert len(pods) > len(MOMENTS)
    assert {job: number for job, number in pods.items() if number > 1} == {}
