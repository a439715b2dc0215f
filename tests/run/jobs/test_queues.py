"""The turn of a Job in its queue comes and goes, as news of the Job tell in any order."""

from __future__ import annotations

from dag.run.jobs.queues import QueueTurn
from tests.support.podstories import Json


def job(generation: int, *, suspended: bool) -> Json:
    return {"metadata": {"generation": generation}, "spec": {"suspend": suspended}}


def test_a_turn_is_lost_when_a_job_that_could_run_may_not_any_more() -> None:
    turn = QueueTurn("q")
    assert not turn.note(job(1, suspended=True))
    assert not turn.note(job(2, suspended=False))
    assert not turn.is_lost
    assert turn.note(job(3, suspended=True))
    assert not turn.note(job(3, suspended=True))
    assert not turn.note(job(4, suspended=False))
    assert turn.is_lost


def test_old_news_of_a_job_that_was_read_since_take_no_turn() -> None:
    turn = QueueTurn("q")
    assert not turn.note(job(2, suspended=False))
    assert not turn.note(job(1, suspended=True))
    assert not turn.is_lost


def test_a_job_in_no_queue_loses_no_turn() -> None:
    turn = QueueTurn(None)
    assert not turn.note(job(1, suspended=False))
    assert not turn.note(job(2, suspended=True))
    assert not turn.is_lost
