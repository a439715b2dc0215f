"""The agent tells what a store keeps of its runs, as a client asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.build.events import Began, Broke, Unit
from dag.core.build.journal import encode_event
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlannedPackage, PlanSummary
from dag.core.jobs.history import RunFiles, RunQuery, encode_files
from dag.core.jobs.listing import decode_listing
from dag.io.store.local import Store
from dag.run.agent.history import list_runs
from dag.run.agent.store import EndedRun, keep_run
from dag.run.build.runs import begin_journal
from tests.support.orders import SETTINGS

FIRST, SECOND, THIRD = (f"2026010{day}-000000-000abc" for day in (1, 2, 3))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a store with three runs, of which the second one built `a`."""
    for run in (FIRST, SECOND, THIRD):
        store = Store(tmp_path, SETTINGS.arch)
        files = encode_files(RunFiles(run.encode(), b"{}"))
        keep_run(store, EndedRun(run=run, files=files, ram={}, disk={}))
        store.close()
    for run in (FIRST, SECOND):
        log = tmp_path / ".dag/runs" / run / "x86_64/logs/a.log"
        log.parent.mkdir(parents=True)
        log.write_text(f"{run} built a\n")
    return tmp_path


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (RunQuery(), {f"{THIRD}/x86_64/journal.jsonl"}),
        (RunQuery(run=FIRST[:8]), {f"{FIRST}/x86_64/journal.jsonl"}),
        (RunQuery(run="2025"), set()),
        (RunQuery(every=True), {f"{one}/x86_64/journal.jsonl" for one in (FIRST, SECOND, THIRD)}),
        (
            RunQuery(unit="a"),
            {
                f"{THIRD}/x86_64/journal.jsonl",
                f"{SECOND}/x86_64/journal.jsonl",
                f"{SECOND}/x86_64/logs/a.log",
            },
        ),
        (
            RunQuery(run=FIRST, unit="a"),
            {f"{FIRST}/x86_64/journal.jsonl", f"{FIRST}/x86_64/logs/a.log"},
        ),
        (RunQuery(unit="b"), {f"{THIRD}/x86_64/journal.jsonl"}),
    ],
)
def test_what_is_asked_for_is_told(
    place: Path, query: RunQuery, names: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    list_runs(str(place), [], place / "scratch", query)
    listing = decode_listing(capfd.readouterr().out.splitlines())
    assert listing.objects.keys() == {f"runs/{name}" for name in names}
    for name, data in listing.objects.items():
        assert data == (place / ".dag" / name).read_bytes()


def failed_run(store: Store, name: str, log: bytes) -> None:
    """Keep a run that failed to build `a`."""
    scheduler = Scheduler([Unit("a")], RunLimits(jobs=1))
    packages = {"a": PlannedPackage("1-r0", "missing", "")}
    about = PlanSummary(arch=store.arch.apk, packages=packages, timed=0)
    run = store.runs.begin(name)
    run.log("a").write_bytes(log)
    with begin_journal(run, about, scheduler) as journal:
        for event in (Began(), Broke("a", 1, "make failed", ())):
            journal.append(encode_event(0, event))


def test_a_page_gets_the_run_before_it_and_the_ends_of_the_logs_of_what_failed(
    place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, arm = "20260104-000000-000abc", Arch.parse("aarch64")
    failed_run(Store(place, SETTINGS.arch), run, b"x" * 100_000 + b"the end\n")
    failed_run(Store(place, arm), run, b"another\n")
    list_runs(str(place), [SETTINGS.arch], place / "scratch", RunQuery(page=True))
    listing = decode_listing(capfd.readouterr().out.splitlines())
    assert listing.objects.keys() == {
        f"runs/{run}/x86_64/journal.jsonl",
        f"runs/{run}/x86_64/logs/a.log",
        f"runs/{THIRD}/x86_64/journal.jsonl",
    }
    end = listing.objects[f"runs/{run}/x86_64/logs/a.log"]
    assert (len(end), end[-8:]) == (64 << 10, b"the end\n")
    list_runs(str(place), [], place / "scratch", RunQuery(page=True))
    both = decode_listing(capfd.readouterr().out.splitlines())
    assert both.objects.keys() == {
        *listing.objects,
        f"runs/{run}/aarch64/journal.jsonl",
        f"runs/{run}/aarch64/logs/a.log",
    }
    monkeypatch.setattr("dag.run.agent.history._MOST", 1)
    list_runs(str(place), [arm], place / "scratch", RunQuery(page=True))
    short = decode_listing(capfd.readouterr().out.splitlines())
    assert [*short.objects] == [f"runs/{run}/aarch64/journal.jsonl"]
    assert short.notes == ["some logs of what failed are not in the page: it would be too long"]


def test_the_log_of_what_a_run_has_built_that_goes_on_is_told(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    running = "20260104-000000-000abc"
    log = place / ".dag/runs" / running / "x86_64/logs/a.log"
    log.parent.mkdir(parents=True)
    log.write_text("it is built\n")
    for query in (RunQuery(unit="a"), RunQuery(run=running, unit="a")):
        list_runs(str(place), [], place / "scratch", query)
        told = decode_listing(capfd.readouterr().out.splitlines()).objects
        assert told[f"runs/{running}/x86_64/logs/a.log"] == b"it is built\n"
    for other in (RunQuery(unit="b"), RunQuery(run=THIRD, unit="a")):
        list_runs(str(place), [], place / "scratch", other)
        told = decode_listing(capfd.readouterr().out.splitlines()).objects
        assert not [name for name in told if running in name]


def test_of_too_many_runs_the_latest_are_told(
    place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dag.run.agent.history._MOST", 1)
    list_runs(str(place), [], place / "scratch", RunQuery(every=True))
    listing = decode_listing(capfd.readouterr().out.splitlines())
    assert [*listing.objects] == [f"runs/{THIRD}/x86_64/journal.jsonl"]
    assert listing.notes == ["the list ends here: 2 older runs would make it too long"]


def test_a_log_that_is_too_large_is_told_as_such(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = place / ".dag/runs" / SECOND / "x86_64/logs/a.log"
    with log.open("r+b") as file:
        file.truncate((64 << 20) + 1)
    list_runs(str(place), [], place / "scratch", RunQuery(unit="a"))
    listing = decode_listing(capfd.readouterr().out.splitlines())
    assert b"64" in listing.objects[f"runs/{SECOND}/x86_64/logs/a.log"]


def test_the_architectures_of_a_run_without_journal_are_told(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / ".dag/runs" / SECOND / "aarch64/logs").mkdir(parents=True)
    for query, is_told in ((RunQuery(run=SECOND), True), (RunQuery(run=FIRST), False)):
        list_runs(str(place), [], place / "scratch", query)
        notes = decode_listing(capsys.readouterr().out.splitlines()).notes
        assert [f"the run {SECOND} keeps no journal for aarch64" in one for one in notes] == (
            [True] if is_told else []
        )
