"""The runs of a store stay: each one's journal, result and logs are found by its id."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from queue import SimpleQueue

import msgspec
import pytest

from dag.core.arch import Arch
from dag.core.build.events import Began, Broke, Event, Proven, Succeeded, Unchanged, Unit
from dag.core.build.journal import encode_event
from dag.core.build.result import make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlannedPackage, PlanSummary
from dag.core.build.twice import second_of, second_units
from dag.core.store.layout import STATE, make_run_id
from dag.errors import UsageError
from dag.io.store.directory import DirectoryObjects
from dag.io.store.local import Store
from dag.io.store.objects import BucketObjects, ObjectFacts
from dag.io.store.runs import Run
from dag.run.build.runs import (
    begin_journal,
    keep_result,
    read_log,
    read_results,
    read_status,
)
from tests.core.jobs.test_listing import record

X86 = Arch.parse("x86_64")
ABOUT = PlanSummary(arch="x86_64", packages={"a": PlannedPackage("1-r0", "missing", "")}, timed=0)
ENDS: tuple[Event, ...] = (Began(), Succeeded("a", 1), Proven("a", 1))


def begin() -> Scheduler:
    return Scheduler([Unit("a")], RunLimits(jobs=1))


def id_after(seconds: int) -> str:
    """Return the id of a run that begins so long after the first one."""
    return make_run_id(1e9 + seconds, "000")


def build(store: Store, log: bytes = b"built\n", name: str = "") -> Run:
    run, scheduler = store.runs.begin(name), begin()
    with begin_journal(run, ABOUT, scheduler) as journal:
        store.runs.log(run, "a").write_bytes(log)
        for now, event in enumerate(ENDS):
            journal.append(encode_event(now, event))
            scheduler.handle(event, now)
    keep_result(run, make_result(ABOUT, scheduler, 2.0, run.id))
    return run


def read(store: Store, *words: str) -> list[bytes]:
    return list(read_log(store, "a", *words, say=print))


def test_each_run_has_its_journal_its_result_and_its_logs(store: Store) -> None:
    ids = [build(store, b"log %d\n" % number, id_after(number)).id for number in range(3)]
    assert [one[:16] for one in ids] == [f"20010909-01464{second}-" for second in (0, 1, 2)]
    assert read_status(store).id == ids[2]
    assert read_status(store, "20010909-014641").id == ids[1]
    assert read(store) == [b"log 2"]
    assert read(store, ids[0]) == [b"log 0"]
    assert (store.root / "logs/x86_64/a.log").read_bytes() == b"log 2\n"
    result = json.loads((store.state / f"runs/{ids[0]}/x86_64/result.json").read_bytes())
    assert (result["run"], result["exit_code"]) == (ids[0], 0)
    assert (store.root / result["units"][0]["log"]).read_bytes() == b"log 0\n"


def test_what_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(UsageError, match="nothing was built here for x86_64"):
        read_status(store)
    first, second = build(store), build(store)
    with pytest.raises(UsageError, match="2 runs begin with 2"):
        read_status(store, "2")
    with pytest.raises(UsageError, match="there was no run 1999"):
        read_log(store, "a", "1999", say=print)
    with pytest.raises(UsageError, match="has no log of b for x86_64"):
        read_log(store, "b", say=print)
    with pytest.raises(UsageError, match=f"the run {first.id} has no log of b"):
        read_log(store, "b", first.id, say=print)
    second.journal.write_text("junk\n")
    with pytest.raises(UsageError, match=f"{second.journal} is damaged"):
        read_status(store)
    second.log("a").unlink()
    assert list(read_log(store, "a", say=pytest.fail)) == [b"built"]


def test_of_a_package_that_the_build_of_another_name_made_it_is_said_which(store: Store) -> None:
    build(store)
    with pytest.raises(UsageError) as raised:
        read_log(store, "package-1-dev", say=print)
    assert raised.value.hint == "`dag status --json` names the packages of the latest run"
    for number in range(3):
        store.keep_record(record(number))
    with pytest.raises(UsageError, match="has no log of package-1-dev for x86_64") as raised:
        read_log(store, "package-1-dev", say=print)
    command = "`dag logs package-1` prints the log of that"
    assert raised.value.hint == f"the build of package-1 made it: {command}"
    with pytest.raises(UsageError) as raised:
        read_log(store, "package-1", say=print)  # its log is gone
    assert raised.value.hint == "`dag status --json` names the packages of the latest run"


def test_the_log_of_a_package_that_was_blocked_is_not_looked_for_in_vain(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = map(id_after, range(3))

    def build_both(*events: Event) -> Run:
        packages = {name: PlannedPackage("1-r0", "missing", "") for name in "ab"}
        about = PlanSummary(arch="x86_64", packages=packages, timed=0)
        run = store.runs.begin(next(ids))
        units = [Unit("a"), Unit("b", needs=("a",))]
        with begin_journal(run, about, Scheduler(units, RunLimits(jobs=1))) as journal:
            for now, event in enumerate((Began(), *events)):
                journal.append(encode_event(now, event))
                if isinstance(event, Succeeded):
                    store.runs.log(run, event.key).write_bytes(b"built\n")
        return run

    failed = Broke("a", 1, "exit status 2")
    run = build_both(failed)
    for words in ("", run.id):
        with pytest.raises(UsageError) as raised:
            read_log(store, "b", words, say=print)
        because = f"b was not built in the run {run.id}, because it needs a, which failed"
        assert (raised.value.message, raised.value.hint) == (because, "`dag logs a` prints why")
    done = build_both(*ENDS[1:], Succeeded("b", 1), Proven("b", 1))
    again = build_both(failed)
    assert list(read_log(store, "b", say=print)) == [b"built"]
    said = capsys.readouterr().out
    assert said.startswith(f"b was not built in the run {again.id}, because it needs a")
    assert said.endswith(f"this log is of the run {done.id}\n")


def test_the_journal_of_a_store_that_kept_only_one_is_read_and_becomes_a_run(store: Store) -> None:
    run = build(store)
    old, log = store.state / "journal-x86_64.jsonl", store.state / "logs/x86_64/a.log"
    log.parent.mkdir(parents=True)
    run.log("a").rename(log)
    run.journal.rename(old)
    os.utime(old, (1_000_000_000, 1_000_000_000))
    status = read_status(store)
    assert (status.id, status.result.finished) == ("20010909-014640-000000", True)
    assert read(store) == [b"built"]
    assert build(store).id != status.id
    assert not old.exists()
    assert read_status(store, status.id).result == status.result


def test_a_log_is_followed_until_its_unit_is_settled(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.build.runs._LOOK", 0.01)
    monkeypatch.setattr("dag.run.build.runs._ASK", 0.01)
    build(store, b"of an earlier run\n")
    store.lock.acquire(wait=False, say=print)
    run, scheduler = store.runs.begin(), begin()
    found: SimpleQueue[bytes] = SimpleQueue()

    def listen() -> None:
        for line in read_log(store, "a", say=print, follow=True):
            found.put(line)

    with begin_journal(run, ABOUT, scheduler) as journal:
        journal.append(encode_event(0, Began()))
        journal.sync()
        thread = threading.Thread(target=listen)
        thread.start()
        log = store.runs.log(run, "a")
        for line in (b"one\n", b"two\n", b"no end"):
            with log.open("ab") as file:
                file.write(line)
            if line.endswith(b"\n"):
                assert found.get(timeout=60) == line.rstrip()
        for event in ENDS[1:]:
            journal.append(encode_event(1, event))
    thread.join(10)
    assert not thread.is_alive()
    assert found.get_nowait() == b"no end"
    assert found.empty()


def test_a_log_is_followed_until_the_second_build_is_settled_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.build.runs._LOOK", 0.01)
    monkeypatch.setattr("dag.run.build.runs._ASK", 0.01)
    store.lock.acquire(wait=False, say=print)
    first = Unit("a")
    run, scheduler = (
        store.runs.begin(),
        Scheduler([first, *second_units([first])], RunLimits(jobs=1)),
    )
    found: SimpleQueue[bytes] = SimpleQueue()

    def listen() -> None:
        for line in read_log(store, "a", say=print, follow=True):
            found.put(line)

    with begin_journal(run, ABOUT, scheduler) as journal:
        log = store.runs.log(run, "a")
        log.write_bytes(b"the first build\n")
        for event in ENDS:
            journal.append(encode_event(1, event))
        journal.sync()
        thread = threading.Thread(target=listen)
        thread.start()
        assert found.get(timeout=60) == b"the first build"
        with log.open("ab") as file:
            file.write(b"the second build\n")
        assert found.get(timeout=60) == b"the second build"
        again = second_of("a")
        for event in (Succeeded(again, 1), Proven(again, 1)):
            journal.append(encode_event(2, event))
    thread.join(10)
    assert not thread.is_alive()
    assert found.empty()


def test_a_log_on_another_machine_is_waited_for_and_comes_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.build.runs._LOOK", 0.01)
    monkeypatch.setattr("dag.run.build.runs._ASK", 0.01)
    asked: SimpleQueue[None] = SimpleQueue()

    class Bucket(DirectoryObjects):
        """A place of objects that notes when somebody looks for a journal."""

        def look(self, name: str) -> ObjectFacts | None:
            if name.endswith("journal.jsonl"):
                asked.put(None)
            return super().look(name)

    kinds = {"one": DirectoryObjects, "two": Bucket}
    builder, reader = (
        Store(
            tmp_path / name,
            X86,
            BucketObjects(
                "s3://b",
                *(kind(tmp_path / "bucket" / one, tmp_path / "lock") for one in ("", STATE)),
            ),
        )
        for name, kind in kinds.items()
    )
    builder.prepare()
    run, scheduler = builder.runs.begin(), begin()
    found: list[bytes] = []
    with begin_journal(run, ABOUT, scheduler) as journal:
        journal.append(encode_event(0, Began()))
        journal.sync()
        builder.runs.log(run, "a").write_bytes(b"the first attempt\n")
        run.keep_log("a")
        run.keep_journal()
        thread = threading.Thread(
            target=lambda: found.extend(read_log(reader, "a", say=print, follow=True))
        )
        thread.start()
        for _ in range(30):  # it does not read what is there, and goes on asking
            asked.get(timeout=10)
        builder.runs.log(run, "a").write_bytes(b"the first attempt\nthe second\n")
        run.keep_log("a")
        for event in ENDS[1:]:
            journal.append(encode_event(1, event))
    thread.join(60)
    assert not thread.is_alive()
    assert found == [b"the first attempt", b"the second"]


def test_a_run_that_goes_on_with_another_one_is_told_by_the_id_of_that(store: Store) -> None:
    run, scheduler = store.runs.begin(goes_on_with="20260101-000000-000abc"), begin()
    with begin_journal(run, ABOUT, scheduler):
        pass
    result = read_status(store).result
    assert result.run == "20260101-000000-000abc"
    assert result.units[0].log == ".dag/runs/20260101-000000-000abc/x86_64/logs/a.log"


def test_who_goes_on_after_several_runs_were_killed_goes_on_with_the_results_of_all(
    store: Store,
) -> None:
    build(store)
    results = {}
    for day, name in enumerate("abb", start=1):
        run = store.runs.of(f"2999010{day}-000000-000abc")
        one = msgspec.structs.replace(record(day), name=name)
        run.fix_result(one)
        results[name] = one.result
    assert read_results(store) == results
    run.keep_result(b"{}")
    assert read_results(store) == {}


def test_who_goes_on_after_a_run_was_killed_goes_on_with_its_results(store: Store) -> None:
    build(store)
    assert read_results(store) == {}
    run, scheduler = store.runs.begin(), begin()
    with begin_journal(run, ABOUT, scheduler, {"b": "2" * 64}) as journal:
        journal.append(encode_event(0, Began()))
        journal.append(encode_event(1, Unchanged("a", 1, result="1" * 64)))
    assert read_results(store) == {"a": "1" * 64, "b": "2" * 64}
    with run.journal.open("ab") as file:
        file.write(b'{"torn')
    assert read_results(store) == {"a": "1" * 64, "b": "2" * 64}
    keep_result(run, make_result(ABOUT, scheduler, 2.0, run.id))
    assert read_results(store) == {}
