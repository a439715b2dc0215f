"""The journal: what is in it survives, what was cut off at the end is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.build.events import (
    Began,
    Broke,
    Cancelled,
    ComputeResources,
    Event,
    Faulted,
    OutOfMemory,
    Proven,
    StopRequested,
    Succeeded,
    Ticked,
    Unit,
)
from dag.core.build.journal import head, line, read_event, replayed
from dag.core.build.states import RunLimits, UnitState
from dag.io.build.journal import Journal, read_journal

EVENTS: list[Event] = [
    Began(live=(("a", 2),), past=(("b", 1),)),
    Succeeded("a", 2),
    Proven("a", 2),
    Broke("b", 2, "make ended", ("ünïcode", 'quote " and \\')),
    OutOfMemory("b", 2, "oom", ()),
    Faulted("b", 2, "disk"),
    Cancelled("b", 2),
    Ticked(),
    StopRequested("Ctrl-C"),
]


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_survives_the_journal(event: Event, tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.append(line(1.5, event))
    (read,) = read_journal(tmp_path / "journal")
    assert read_event(read) == (1.5, event)


def written(path: Path) -> bytes:
    units = [
        Unit("a"),
        Unit("b", ("a",), ComputeResources(500, 7), 2.5),
        Unit("@g", ("b",), is_gate=True),
    ]
    limits = RunLimits(jobs=2, capacity=ComputeResources(4000, 1 << 30))
    with Journal(path) as journal:
        journal.append(head(units, limits, {"began": 7}))
        journal.append(line(0, Began()))
        journal.append(line(1, Succeeded("a", 1)))
        journal.append(line(2, Proven("a", 1)))
    return path.read_bytes()


def test_a_run_is_rebuilt_from_its_journal(tmp_path: Path) -> None:
    written(tmp_path / "journal")
    first, scheduler, last = replayed(read_journal(tmp_path / "journal"))
    assert first["began"] == 7
    assert last == 2
    assert scheduler.units["a"].state is UnitState.DONE
    assert scheduler.units["b"].state is UnitState.RUNNING
    assert scheduler.units["b"].resources == ComputeResources(500, 7)


def test_a_torn_tail_of_any_length_is_left_out(tmp_path: Path) -> None:
    data = written(tmp_path / "journal")
    lines = data.splitlines(keepends=True)
    for size in range(len(lines[0]), len(data)):
        (tmp_path / "cut").write_bytes(data[:size])
        whole = data[:size].count(b"\n")
        assert len(list(read_journal(tmp_path / "cut"))) == whole
        replayed(read_journal(tmp_path / "cut"))


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    data = written(tmp_path / "journal").splitlines(keepends=True)
    (tmp_path / "journal").write_bytes(b"".join([data[0], b"}\n", *data[1:]]))
    with pytest.raises(ValueError, match="a line in the middle is none"):
        list(read_journal(tmp_path / "journal"))
    (tmp_path / "journal").write_bytes(b'{"format": 99}\n')
    with pytest.raises(ValueError, match="no head of this format"):
        replayed(read_journal(tmp_path / "journal"))


def test_the_journal_before_is_kept(tmp_path: Path) -> None:
    old = written(tmp_path / "journal")
    with Journal(tmp_path / "journal"):
        pass
    assert (tmp_path / "journal.old").read_bytes() == old
    assert (tmp_path / "journal").read_bytes() == b""
