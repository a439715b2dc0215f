"""A run is found for each of the architectures that it was for, whoever asks for which."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.build.events import Began, Event, Proven, Succeeded, Unit
from dag.core.build.journal import encode_event
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlannedPackage, PlanSummary
from dag.errors import UsageError
from dag.io.store.places import StorePlace
from dag.run.build.runs import NoSuchRun, begin_journal, read_log
from dag.run.build.storedruns import StoredRuns

X86, ARM = Arch.parse("x86_64"), Arch.parse("aarch64")
FIRST, SECOND, THIRD = (f"2026010{day}-000000-000abc" for day in (1, 2, 3))


@pytest.fixture
def place(tmp_path: Path) -> StorePlace:
    """Return a store whose second run was for two architectures, and built `b` for one of them."""
    found = StorePlace("here", tmp_path)
    run(found, X86, FIRST, "a", "old")
    run(found, X86, SECOND, "a")
    run(found, ARM, SECOND, "a", "b")
    run(found, ARM, THIRD, "c")
    return found


def run(place: StorePlace, arch: Arch, name: str, *units: str) -> None:
    """Build units, each of which has a log."""
    store = place.store(arch)
    store.prepare()
    made = store.runs.begin(name)
    packages = {unit: PlannedPackage("1-r0", "missing", "", f"{unit}.yaml") for unit in units}
    about = PlanSummary(arch=arch.apk, packages=packages, timed=0)
    scheduler = Scheduler([Unit(unit) for unit in units], RunLimits(jobs=9))
    events: list[Event] = [Began()]
    for unit in units:
        events += [Succeeded(unit, 1), Proven(unit, 1)]
        made.log(unit).write_text(f"{name} {arch}\n")
    with begin_journal(made, about, scheduler) as journal:
        for event in events:
            journal.append(encode_event(0, event))
    store.close()


def found(runs: StoredRuns, words: str = "") -> tuple[str, list[str]]:
    one = runs.find(words)
    return one.id, [store.arch.apk for store in one.stores]


def test_a_run_is_found_with_all_its_architectures(place: StorePlace) -> None:
    assert found(StoredRuns(place)) == (THIRD, ["aarch64"])
    assert found(StoredRuns(place), SECOND[:8]) == (SECOND, ["aarch64", "x86_64"])
    assert found(StoredRuns(place, (X86,))) == (SECOND, ["x86_64"])
    assert found(StoredRuns(place, (X86, ARM)), SECOND) == (SECOND, ["aarch64", "x86_64"])


def test_it_is_told_for_which_architectures_a_run_has_no_journal(place: StorePlace) -> None:
    assert StoredRuns(place).find(SECOND).lack == ""
    assert StoredRuns(place, (X86,)).find(SECOND).lack == ""
    (place.root / ".dag/runs" / SECOND / "x86_64/journal.jsonl").unlink()
    (place.root / ".dag/runs" / SECOND / "evil \x1b[31m").mkdir()  # no architecture
    lack = StoredRuns(place).find(SECOND).lack
    assert lack.startswith(
        f"the run {SECOND} keeps no journal for x86_64, so nothing of it is told"
    )
    assert found(StoredRuns(place), SECOND) == (SECOND, ["aarch64"])
    assert StoredRuns(place, (ARM,)).find(SECOND).lack == ""
    # Who asks for one by its name hears of that, too.
    asked = StoredRuns(place, (ARM, Arch.parse("riscv64"))).find(THIRD)
    assert "keeps no journal for riscv64" in asked.lack


def test_a_run_that_is_not_there_is_named(place: StorePlace, tmp_path: Path) -> None:
    with pytest.raises(NoSuchRun, match="here: 3 runs begin with 2026"):
        StoredRuns(place).find("2026")
    with pytest.raises(NoSuchRun, match=r"here: nothing was built here for riscv64$"):
        StoredRuns(place, (Arch.parse("riscv64"),)).find()
    nothing = StorePlace("there", tmp_path / "there")
    with pytest.raises(NoSuchRun, match=r"a copy: nothing was built here$"):
        StoredRuns(nothing, name="a copy").find()
    with pytest.raises(NoSuchRun, match=r"a copy: there was no run 1999$") as caught:
        StoredRuns(nothing, name="a copy").find("1999")
    assert caught.value.hint == "`dag status --all` lists the runs"


def log_of(runs: StoredRuns, unit: str, words: str = "") -> tuple[str, str]:
    one = runs.find_log(unit, words)
    (store,) = one.stores
    return one.id, store.arch.apk


def test_a_log_is_found_for_the_architecture_that_has_one(place: StorePlace) -> None:
    runs = StoredRuns(place)
    assert log_of(runs, "b", SECOND) == (SECOND, "aarch64")
    assert log_of(runs, "c") == (THIRD, "aarch64")
    assert log_of(runs, "b") == (SECOND, "aarch64")
    assert log_of(runs, "old") == (FIRST, "x86_64")
    assert log_of(runs, "nobody") == (THIRD, "aarch64")


def test_a_run_as_jobs_that_goes_on_has_logs_before_it_has_a_journal(place: StorePlace) -> None:
    running = "20991231-000000-000abc"
    log = place.root / ".dag/runs" / running / "x86_64/logs/a.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"it is built\n")
    runs = StoredRuns(place)
    for words in ("", running, running[:8]):
        assert log_of(runs, "a", words) == (running, "x86_64")
        (store,) = runs.find_log("a", words).stores
        assert list(read_log(store, "a", words, say=print)) == [b"it is built"]
    assert runs.has_log("a", running)
    assert not runs.has_log("b", running)
    assert log_of(runs, "c") == (THIRD, "aarch64")
    assert runs.find_log("c", running).id == ""


def test_a_log_for_several_architectures_is_asked_back_for(place: StorePlace) -> None:
    for words in ("", SECOND):
        with pytest.raises(UsageError, match="has a log of a for aarch64 and x86_64"):
            StoredRuns(place).find_log("a", words)
    assert log_of(StoredRuns(place, (X86,)), "a") == (SECOND, "x86_64")


def test_all_runs_are_told_of_the_latest_first(place: StorePlace) -> None:
    told = [
        (one.id, one.result.arch)
        for one in StoredRuns(place).statuses()
        if not isinstance(one, UsageError)
    ]
    assert told == [(THIRD, "aarch64"), (SECOND, "aarch64"), (SECOND, "x86_64"), (FIRST, "x86_64")]


def test_a_run_that_is_damaged_for_one_architecture_is_told_of_for_the_other(
    place: StorePlace,
) -> None:
    place.state.write(f"runs/{SECOND}/aarch64/journal.jsonl", b"nonsense\n")
    told = list(StoredRuns(place).statuses())
    assert [isinstance(one, UsageError) for one in told] == [False, True, False, False]
