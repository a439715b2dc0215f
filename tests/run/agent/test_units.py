"""The agent of a unit lays out what it gets, and judges what its build left, without a pod."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dag.core.build.usage import USED, Usage
from dag.core.jobs.answers import (
    AgentAnswer,
    EndedAnswer,
    ProvenAnswer,
    UnprovenAnswer,
    decode_answer,
    record_of,
    without_environment,
)
from dag.core.jobs.history import MOST_WORDS, RunFiles, encode_files
from dag.core.jobs.order import UnitOrder, encode_order
from dag.io.store.local import Store
from dag.run.agent.collect import collect
from dag.run.agent.prepare import UnitPlaces, prepare, read_prepared
from dag.run.agent.store import EndedRun, keep_run
from tests.support.apks import make_apk
from tests.support.orders import PACKAGE, order

PACKAGES = "workspace/packages/x86_64"


@pytest.fixture
def places(tmp_path: Path) -> UnitPlaces:
    for name in ("unit", "state", "pipes", "log", "bundle"):
        (tmp_path / name).mkdir()
    (tmp_path / "bundle/Makefile").write_text("all:\n")
    (tmp_path / "bundle/catch2.yaml").write_text("package: {name: Catch2}\n")
    (tmp_path / "bundle/keys").mkdir()
    (tmp_path / "bundle/keys/a.rsa.pub").write_text("a key\n")
    return UnitPlaces(
        store=str(tmp_path / "store"),
        place=tmp_path / "unit",
        state=tmp_path / "state",
        pipe=tmp_path / "pipes/collect",
    )


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    """Let the tests that follow have the umask and the signals that they expect, which agents change."""
    mask = os.umask(0o022)
    ends = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, ends)
    os.umask(mask)


def lay_out(places: UnitPlaces, told: UnitOrder | None = None) -> Path:
    """Prepare a unit, and return the script that builds it."""
    script = places.pipe.with_name("build")
    told = told or order(given=0, served=0)
    prepare(tuple(encode_order(told)), places, places.place.with_name("bundle"), script)
    return script


@contextmanager
def build(places: UnitPlaces, code: int = 0) -> Iterator[None]:
    """Hold the pipe as a build does, and end with this exit code."""

    def hold() -> None:
        with places.pipe.open("wb", buffering=0) as pipe:
            pipe.write(b"started\n")
            pipe.write(b"exit %d\n" % code)

    holder = threading.Thread(target=hold)
    holder.start()
    yield
    holder.join()


def judge(places: UnitPlaces, code: int = 0) -> AgentAnswer:
    message = places.state / "message"
    with build(places, code):
        collect(places, places.place.with_name("log"), message)
    return decode_answer(message.read_text())


def made(places: UnitPlaces, name: str, *, origin: str = "Catch2", data: bytes = b"") -> Path:
    path = places.place / PACKAGES / f"{name}-{PACKAGE.full_version}.apk"
    return make_apk(path, name, PACKAGE.full_version, origin=origin, data=data)


def test_a_unit_gets_its_own_files_and_keys_and_nothing_else(places: UnitPlaces) -> None:
    (places.place.with_name("bundle") / "other.yaml").write_text("package: {name: other}\n")
    script = lay_out(places)
    workspace = places.place / "workspace"
    found = {str(path.relative_to(workspace)) for path in workspace.rglob("*") if path.is_file()}
    assert found == {"Makefile", "catch2.yaml", "keys/a.rsa.pub"}
    assert "packages/x86_64/Catch2-3.1-r2.apk" in script.read_text()


def test_what_the_definition_promises_is_proven_and_kept(
    places: UnitPlaces, capfd: pytest.CaptureFixture[str]
) -> None:
    lay_out(places)
    for name in PACKAGE.promised:
        made(places, name)
    (places.place.with_name("log") / "log").write_text("it went well\n")
    (places.place.with_name("log") / USED).write_text("0m1s 0m1s\n0m2.5s 0m0.5s\n9\n")
    answer = judge(places)
    assert isinstance(answer, ProvenAnswer)
    record = record_of(answer, capfd.readouterr().out.splitlines())
    assert [one.apk.name for one in record.built] == ["Catch2", "Catch2-dev"]
    assert answer.used == Usage(3.0, 9)
    store = Store(Path(places.store), order().platform)
    kept = store.find_key("Catch2", record.key)
    assert kept is not None
    assert without_environment(kept) == record
    assert (store.state / record.log).read_text() == "it went well\n"


def test_the_log_of_an_attempt_that_is_made_again_is_the_new_one(places: UnitPlaces) -> None:
    # A client that was killed has forgotten that there was an attempt of this number.
    for words in ("before", "after"):
        lay_out(places)
        (places.place.with_name("log") / "log").write_text(words)
        judge(places, code=2)
        shutil.rmtree(places.place)
        places.place.mkdir()
        places.pipe.unlink()
    (log,) = Path(places.store).glob(".dag/runs/*/x86_64/logs/*")
    assert log.read_text() == "after"


def test_a_second_attempt_finds_the_record_and_builds_nothing(places: UnitPlaces) -> None:
    lay_out(places)
    for name in PACKAGE.promised:
        made(places, name)
    assert isinstance(judge(places), ProvenAnswer)
    again = places.place.with_name("again")
    again.mkdir()
    later = msgspec.structs.replace(order(given=0, served=0), attempt=2)
    elsewhere = UnitPlaces(
        store=places.store, place=again, state=places.state, pipe=places.pipe.with_name("second")
    )
    script = places.pipe.with_name("script")
    prepare(tuple(encode_order(later)), elsewhere, places.place.with_name("bundle"), script)
    assert script.read_text() == "exit 0\n"
    message = places.state / "message"
    collect(elsewhere, places.place.with_name("log"), message)
    answer = decode_answer(message.read_text())
    assert isinstance(answer, ProvenAnswer)
    assert not answer.built


def test_of_several_records_of_its_inputs_an_attempt_takes_the_one_that_its_run_has_fixed(
    places: UnitPlaces,
) -> None:
    told = msgspec.structs.replace(order(given=0, served=0), reuse=False)
    results = []
    for number, data in enumerate((b"one", b"two", b"three")):
        lay_out(places, msgspec.structs.replace(told, run=f"20260101-000000-00000{number}"))
        for name in PACKAGE.promised:
            made(places, name, data=data)
        answer = judge(places)
        assert isinstance(answer, ProvenAnswer)
        assert answer.built
        shutil.rmtree(places.place)
        places.place.mkdir()
        places.pipe.unlink()
        results = [
            one.result for one in Store(Path(places.store), told.platform).records_of("Catch2")
        ]
    assert len(results) == 3
    for fixed in results:
        again = msgspec.structs.replace(told, reuse=True, results=("0" * 64, fixed, results[0]))
        lay_out(places, again)
        known = read_prepared(places.state).known
        assert known is not None
        assert known.result == fixed
        shutil.rmtree(places.place)
        places.place.mkdir()
        places.pipe.unlink()


def attempt(places: UnitPlaces, told: UnitOrder, data: bytes = b"") -> ProvenAnswer:
    """Build a unit, with something in it, and return what the agent answers."""
    lay_out(places, told)
    if read_prepared(places.state).known is None:
        for name in PACKAGE.promised:
            made(places, name, data=data)
        answer = judge(places)
    else:
        collect(places, places.place.with_name("log"), places.state / "message")
        answer = decode_answer((places.state / "message").read_text())
    assert isinstance(answer, ProvenAnswer)
    shutil.rmtree(places.place)
    places.place.mkdir()
    places.pipe.unlink()
    return answer


def test_all_attempts_of_a_run_answer_with_the_result_of_the_first(places: UnitPlaces) -> None:
    told = msgspec.structs.replace(order(given=0, served=0), reuse=False)
    first = attempt(places, told, b"one")
    # One whose node was taken for lost may end after another one.
    late = attempt(places, msgspec.structs.replace(told, attempt=2), b"two")
    assert (late.result, late.results, late.built) == (first.result, 2, True)
    # What a client with another journal prefers counts for nothing, either.
    (other,) = {
        one.result for one in Store(Path(places.store), told.platform).records_of("Catch2")
    } - {first.result}
    again = msgspec.structs.replace(told, attempt=3, reuse=True, results=(other,))
    found = attempt(places, again)
    assert (found.result, found.built) == (first.result, False)
    another = msgspec.structs.replace(again, run="20260102-000000-000abc")
    assert attempt(places, another).result == other


def test_what_is_attested_is_what_the_attempt_has_built_whatever_somebody_else_put_there(
    places: UnitPlaces,
) -> None:
    told = msgspec.structs.replace(order(given=0, served=0), reuse=False)
    # Whoever can write the store leaves a record there, and says that the run goes on with it.
    planted = attempt(places, told, b"evil")
    mine = msgspec.structs.replace(told, attempt=2, reuse=True, witnessed=True)
    found = attempt(places, mine, b"good")
    assert found.built
    assert found.result != planted.result
    # Who goes on with the run goes on with what is attested.
    assert Store(Path(places.store), told.platform).runs.of(told.run).fixed_results() == {
        "Catch2": found.result
    }


@pytest.mark.parametrize("damage", ["record", "fixed"])
def test_a_result_that_is_gone_is_not_gone_on_with(places: UnitPlaces, damage: str) -> None:
    told = msgspec.structs.replace(order(given=0, served=0), reuse=False)
    first = attempt(places, told, b"one")
    state = Store(Path(places.store), told.platform).state
    if damage == "record":
        (record,) = state.glob(f"records/x86_64/Catch2/*/{first.result}.json")
        record.unlink()
    else:
        (fixed,) = state.glob("runs/*/x86_64/results/*.json")
        fixed.write_bytes(b"{")
    late = attempt(places, msgspec.structs.replace(told, attempt=2), b"two")
    assert late.result != first.result
    assert Store(Path(places.store), told.platform).runs.of(told.run).fixed_results() == {
        "Catch2": late.result
    }


@pytest.mark.parametrize("code", [1, 2, 137])
def test_a_build_that_failed_proves_nothing_whatever_it_left(places: UnitPlaces, code: int) -> None:
    lay_out(places)
    for name in PACKAGE.promised:
        made(places, name)
    (places.place.with_name("log") / USED).symlink_to("/dev/zero")
    assert judge(places, code) == EndedAnswer()
    assert list(Path(places.store).glob(".dag/records/**/*.json")) == []


def leave_nothing(places: UnitPlaces) -> None:
    """Build nothing."""


def leave_half(places: UnitPlaces) -> None:
    made(places, "Catch2")


def leave_another(places: UnitPlaces) -> None:
    made(places, "Catch2", origin="other")
    made(places, "Catch2-dev")


def leave_a_link(places: UnitPlaces) -> None:
    (places.place / PACKAGES / "Catch2-3.1-r2.apk").symlink_to("/etc/passwd")


def leave_a_pipe(places: UnitPlaces) -> None:
    os.mkfifo(places.place / PACKAGES / "Catch2-3.1-r2.apk")


@pytest.mark.parametrize(
    ("leave", "words"),
    [
        (leave_nothing, "built no Catch2-3.1-r2.apk"),
        (leave_half, "built no Catch2-dev-3.1-r2.apk"),
        (leave_another, "of other"),
        (leave_a_link, "is not an ordinary file"),
        (leave_a_pipe, "is not an ordinary file"),
    ],
)  # fmt: skip
def test_what_was_not_promised_is_refused(places: UnitPlaces, leave: object, words: str) -> None:
    lay_out(places)
    assert callable(leave)
    leave(places)
    answer = judge(places)
    assert isinstance(answer, UnprovenAnswer)
    assert words in answer.why
    assert list(Path(places.store).glob(".dag/records/**/*.json")) == []


def test_the_files_of_a_run_are_kept_beside_its_logs(places: UnitPlaces) -> None:
    store = Store(Path(places.store), order().platform)
    ended = EndedRun(
        run="20260101-000000-000abc",
        files=encode_files(RunFiles(b"events", b"{}")),
        ram={"egg": 1 << 32},
        disk={"egg": 1 << 33},
    )
    keep_run(store, ended)
    folder = store.state / "runs/20260101-000000-000abc/x86_64"
    assert (folder / "journal.jsonl").read_bytes() == b"events"
    assert (folder / "result.json").read_bytes() == b"{}"
    more = RunFiles(b"more events", b"[]")  # somebody has gone on with the run
    keep_run(store, replace(ended, files=encode_files(more)))
    assert (folder / "journal.jsonl").read_bytes() == b"more events"
    assert (folder / "result.json").read_bytes() == b"[]"
    keep_run(store, replace(ended, files=(), ram={"egg": 1 << 34}))  # they were too long
    assert (folder / "journal.jsonl").read_bytes() == b"more events"
    assert (store.hints.all(), store.disk_hints.all()) == ({"egg": 1 << 34}, {"egg": 1 << 33})


def test_files_that_etcd_would_not_take_are_not_sent() -> None:
    assert encode_files(RunFiles(os.urandom(MOST_WORDS), b"")) == []
