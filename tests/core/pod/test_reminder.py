"""A pod of which nothing is heard, by a clock of the test's own."""

from __future__ import annotations

from dag.core.pod.reminder import Reminder
from tests.support.podstories import RUNNING, ended, pod


def test_a_minute_of_silence_is_ended_by_what_runs_and_for_how_long() -> None:
    reminder = Reminder(100.0)
    reminder.see(pod(init=RUNNING), 110.0)
    assert (reminder.due, reminder.remind(159.9)) == (160.0, None)
    assert reminder.remind(175.0) == "container init has run for 1 min"
    reminder.see(pod(init=ended(), build=RUNNING), 180.0)
    assert reminder.due == 235.0
    reminder.hear(230.0)
    assert reminder.remind(289.0) is None
    reminder.see(pod(init=ended(), build=RUNNING), 285.0)
    assert reminder.remind(290.0) == "container build has run for 1 min"
    assert reminder.remind(350.0 + 3600 * 2) == "container build has run for 2 h 2 min"


def test_of_a_pod_that_waits_that_is_said() -> None:
    reminder = Reminder(0.0)
    assert reminder.remind(60.0) == "nothing has run in the pod for 1 min"
    reminder.see(pod(sidecar=RUNNING), 70.0)
    assert reminder.remind(180.0) == "nothing has run in the pod for 3 min"
