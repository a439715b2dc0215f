"""The journal: complete lines survive, and a line that was cut off at the end is left out."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
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
from dag.core.build.journal import (
    BrokenJournal,
    JournalHead,
    decode_event,
    encode_event,
    encode_head,
    make_head,
    replay_run,
    results_of,
)
from dag.core.build.result import make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits, UnitState
from dag.core.build.summary import PlannedPackage, PlanSummary
from dag.io.build.journal import Journal, read_journal
from dag.report.files import ShownPlaces, to_json

WRITTEN = Path(__file__).with_name("journal-0.1.0.jsonl")
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
        journal.append(encode_event(1.5, event))
    (read,) = read_journal(tmp_path / "journal")
    assert decode_event(read) == (1.5, event)


def head() -> JournalHead:
    units = [
        Unit("a"),
        Unit("b", ("a",), ComputeResources(500, 7), 2.5),
        Unit("@g", ("b",), is_gate=True),
    ]
    limits = RunLimits(jobs=2, capacity=ComputeResources(4000, 1 << 30))
    packages = {name: PlannedPackage("1-r0", "missing", "") for name in ("a", "b")}
    about = PlanSummary(arch="x86_64", packages=packages, timed=0)
    return make_head(about, Scheduler(units, limits), began=7, pid=1)


def written(path: Path) -> bytes:
    with Journal(path) as journal:
        journal.append(encode_head(head()))
        journal.append(encode_event(0, Began()))
        journal.append(encode_event(1, Succeeded("a", 1)))
        journal.append(encode_event(2, Proven("a", 1)))
    return path.read_bytes()


def test_a_run_is_rebuilt_from_its_journal(tmp_path: Path) -> None:
    written(tmp_path / "journal")
    run = replay_run(read_journal(tmp_path / "journal"))
    assert run.head == head()
    assert run.last == 2
    assert run.scheduler.units["a"].state is UnitState.DONE
    assert run.scheduler.units["b"].state is UnitState.RUNNING
    assert run.scheduler.units["b"].resources == ComputeResources(500, 7)


def test_a_journal_that_version_0_1_0_wrote_is_read() -> None:
    run = replay_run(read_journal(WRITTEN))
    assert (run.head.began, run.head.pid, run.last) == (1700000000.5, 4711, 3)
    places = ShownPlaces(store="packages", directory=".")
    result = json.loads(to_json(make_result(run.head, run.scheduler, run.last), places))
    (a, b) = result["units"]
    assert (a["state"], a["version"], a["seconds"]) == ("done", "1-r0", 2.25)
    assert (b["state"], b["reason"], b["because"]) == ("failed", "dependency rebuilt", "a")
    assert b["lines"] == ["ünïcode", 'quote " and \\']
    skipped = {"name": "c", "version": "1-r0", "why": "in the store", "named": True}
    assert result["skipped"] == [skipped]
    assert result["stuck"] == [
        {
            "packages": ["d", "e"],
            "cycles": [["d", "e"]],
            "bootstrap": ["d"],
            "needs": [],
            "openers": [],
        }
    ]
    assert (result["blocked"], result["dropped"]) == (
        {"f": "d"},
        [{"package": "b", "name": "a", "holder": "repository"}],
    )


def test_a_torn_tail_of_any_length_is_left_out(tmp_path: Path) -> None:
    data = written(tmp_path / "journal")
    lines = data.splitlines(keepends=True)
    for size in range(len(lines[0]), len(data)):
        (tmp_path / "cut").write_bytes(data[:size])
        whole = data[:size].count(b"\n") - 1
        run = replay_run(read_journal(tmp_path / "cut"))
        assert run.last == max(0, whole - 1)
    junk = b"\0" * 512
    for tail in (junk, junk + b"\n"):
        (tmp_path / "cut").write_bytes(data + tail)
        assert replay_run(read_journal(tmp_path / "cut")).last == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "it is empty"),
        ([b'{"format":1'], "line 1 has no end"),
        ([b'{"format":99}\n'], "line 1: format is wrong: invalid value 99"),
        ([encode_event(0, Began())], "line 1: the whole lacks the field"),
        ([encode_head(head()), b"}\n", encode_event(0, Began())], "line 2: it is not JSON"),
        ([encode_head(head()), b'{"t":1}\n'], "line 2: the whole lacks the field `event`"),
        (
            [encode_head(head()), encode_event(0, Began()), b'{"t":1,"event":"Died"}\n'],
            "line 3: event is wrong: invalid value 'Died'",
        ),
        (
            [encode_head(head()), b'{"t":1,"event":"Proven","key":"a","attempt":"1"}\n'],
            "line 2: attempt is `str`, but should be `int`",
        ),
        (
            [encode_head(head()), encode_event(0, Began()), encode_event(0, Began())],
            "its lines contradict each other: the run began twice",
        ),
        (
            [encode_head(msgspec.structs.replace(head(), units=()))],
            "line 1: the package a is not one of the units",
        ),
        ([encode_head(head()).replace(b'"jobs":2', b'"jobs":0')], "line 1: limits.jobs is wrong"),
    ],
)
def test_a_journal_that_is_damaged_is_refused_with_its_line(
    lines: list[bytes], message: str
) -> None:
    with pytest.raises(BrokenJournal) as caught:
        replay_run(lines)
    assert message in str(caught.value)


def test_a_journal_of_one_endless_line_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ValueError, match="a line of a journal"):
        list(read_journal(tmp_path / "journal"))


def test_no_journal_is_begun_where_there_is_one(tmp_path: Path) -> None:
    old = written(tmp_path / "journal")
    with pytest.raises(FileExistsError):
        Journal(tmp_path / "journal")
    assert (tmp_path / "journal").read_bytes() == old


def test_of_earlier_results_only_those_count_that_belong_to_the_run() -> None:
    whole = msgspec.structs.replace(
        head(), results={name: name * 64 for name in "abcd"}, found=("c",)
    )
    journal = [encode_head(whole), encode_event(1, Proven("a", 1, result="1" * 64))]
    expected = {"a": "1" * 64, "b": "b" * 64, "c": "c" * 64}
    assert results_of(journal, of_plan=True) == expected
    # Who goes on after this run was killed goes on with all of them.
    assert results_of(journal) == {**expected, "d": "d" * 64}
