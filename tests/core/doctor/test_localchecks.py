"""What is judged of this machine."""

from __future__ import annotations

import pytest

from dag.core.doctor import localchecks
from dag.core.doctor.checks import Status

GIB = 1 << 30


@pytest.mark.parametrize(
    ("free", "status", "words"),
    [
        (None, Status.WARNING, "the disk of /x does not say how much it takes"),
        (0, Status.FAILED, "the disk of /x has room for 0 MiB"),
        (localchecks.FULL - 1, Status.FAILED, "the disk of /x has room for 64 MiB"),
        (
            GIB // 2,
            Status.WARNING,
            "the disk of /x has room for 512 MiB, and a unit asks for 1 GiB",
        ),
        (GIB, Status.OK, "the disk of /x has room for 1 GiB"),
    ],
)
def test_the_room_is_held_against_what_a_unit_asks_for(
    free: int | None, status: Status, words: str
) -> None:
    found = localchecks.room("/x", free, GIB)
    assert (found.status, found.message) == (status, words)
    assert bool(found.fix) == (status is not Status.OK and free is not None)


def test_a_melange_of_another_version_than_dag_knows_is_told() -> None:
    known = localchecks.melange("/bin/melange", "0.56.0")
    assert known.message == "/bin/melange is version 0.56.0"
    other = localchecks.melange("/bin/melange", "0.60.1")
    assert other.status is Status.OK
    assert "dag knows the built-in pipelines of 0.56.0" in other.message
    assert localchecks.melange("/bin/true", "").status is Status.FAILED


def test_memory_without_limits_and_repositories_that_are_wrong_are_warnings() -> None:
    assert localchecks.memory("none").status is Status.WARNING
    assert localchecks.memory("cgroup v2").status is Status.OK
    assert localchecks.repositories(0, ()).message == "none is asked"
    wrong = localchecks.repositories(5, ["a is lost", "b", "c", "d"])
    assert (wrong.status, wrong.message) == (Status.WARNING, "a is lost; b; c; and 1 more")
