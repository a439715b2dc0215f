"""A store is verified and pruned: what is damaged is told, and only what nobody needs goes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.package.apk import index_archive
from dag.core.store.layout import blob_name, record_name
from dag.errors import UsageError
from dag.io.package.signing import SigningKey
from dag.io.store import ownkey
from dag.io.store.directory import DirectoryObjects
from dag.io.store.index import write_index
from dag.io.store.local import Store
from dag.io.store.places import StorePlace
from dag.run.store.upkeep import prune_store, verify_store
from tests.support.apks import make_apk
from tests.support.keys import make_key
from tests.support.stores import promote

X86 = Arch.parse("x86_64")
DAYS = 86400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store", X86)
    store.prepare()
    for name in ("a", "b"):
        promote(store, tmp_path, name)
    index(store)
    yield store
    store.close()


def place(store: Store) -> StorePlace:
    return StorePlace(str(store.root), store.root)


def _make(path: Path) -> None:
    make_key(path)


def index(store: Store, key: Path | None = None) -> None:
    """Write the index, as a build does at its end; a store's own key is made."""
    key = key or ownkey.own_key(store, _make)
    public = f"{key.name}.pub"

    def sign(path: Path) -> None:
        path.write_bytes(SigningKey(key, public).sign(path.read_bytes()))

    write_index(store, sign, lambda _: None, key=public, anew=True)


def blob(store: Store, name: str) -> Path:
    (one,) = store.records[name, "1-r0"].built
    return store.state / blob_name(one.apk.sha256)


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAYS
    os.utime(path, (then, then))


def test_a_sound_store_has_no_problems(store: Store) -> None:
    found = verify_store(place(store))
    assert (found.blobs, found.records, found.published, found.problems) == (2, 2, 2, ())


def test_everything_that_is_damaged_is_told_and_what_is_repaired_comes_back(
    store: Store, tmp_path: Path
) -> None:
    record_b = store.state / record_name("x86_64", store.records["b", "1-r0"])
    damaged = blob(store, "a")
    overwrite(damaged, damaged.read_bytes()[:-1] + b"x")
    overwrite(record_b, b"junk")
    overwrite(store.packages / "a-1-r0.apk", b"junk")
    (store.state / "blobs/sha256/readme").write_text("")
    found = verify_store(place(store))
    told = {Path(problem.address).name: problem.what for problem in found.problems}
    assert told.keys() == {damaged.name, record_b.name, "a-1-r0.apk", "readme"}
    assert "has the SHA-256" in told[damaged.name]
    assert "is no record: it is not JSON" in told[record_b.name]
    assert "is no package" in told["a-1-r0.apk"]
    assert damaged.exists()
    assert verify_store(place(store), repair=True) == found
    assert not damaged.exists()
    assert not record_b.exists()
    for name in ("a", "b"):
        promote(store, tmp_path, name)
    index(store)
    assert verify_store(place(store)).problems == ()


@pytest.mark.parametrize("what", ["gone", "another"])
def test_published_files_are_compared_with_the_records(
    store: Store, tmp_path: Path, what: str
) -> None:
    path = store.packages / "a-1-r0.apk"
    path.unlink()
    if what == "another":
        make_apk(path, "a", data=b"else")
    (problem,) = verify_store(place(store)).problems
    assert problem.address == str(path)
    assert ("not there" if what == "gone" else "another package") in problem.what


@pytest.mark.long
def test_an_index_that_is_not_the_store_s_is_told(store: Store, tmp_path: Path) -> None:
    path = store.packages / "APKINDEX.tar.gz"
    sound = path.read_bytes()

    def told(what: bytes) -> str:
        path.write_bytes(what)
        found = verify_store(place(store)).problems
        assert {problem.address for problem in found} <= {str(path)}
        return "\n".join(problem.what for problem in found)

    assert told(b"junk") == "is no index that can be read; the next build writes it anew"
    assert "is no index that can be read" in told(sound[:-20])
    unsigned = index_archive(store.published())
    assert told(unsigned).startswith("is not signed; if you remove it")
    forged = SigningKey(make_key(tmp_path / "foreign.rsa"), "melange.rsa.pub").sign(unsigned)
    assert "has a wrong signature for melange.rsa.pub; if you remove it" in told(forged)
    made = [*store.published()]
    key = SigningKey(tmp_path / "foreign.rsa", "foreign.rsa.pub")
    assert told(key.sign(unsigned)) == ""  # somebody else's key, whose public half is not here
    assert "does not list b-1-r0.apk, which the store has published" in told(
        key.sign(index_archive(made[:1]))
    )
    larger = replace(made[0], size=made[0].size + 1)
    assert "lists a-1-r0.apk otherwise" in told(key.sign(index_archive([larger, made[1]])))
    other = Store(tmp_path / "other", X86)
    other.prepare()
    promote(other, tmp_path, "c")
    index(other)
    said = told((other.packages / path.name).read_bytes())
    other.close()
    assert "has a wrong signature for melange.rsa.pub; if you remove it" in said
    assert "does not list a-1-r0.apk, b-1-r0.apk, which the store has published; the next" in said
    assert "lists c-1-r0.apk, which the store has not published; the next build" in said
    assert told(sound) == ""
    path.unlink()
    (problem,) = verify_store(place(store)).problems
    assert problem.what == "is not there; the next build writes it"
    index(store)
    assert verify_store(place(store)).problems == ()


def test_a_given_key_may_have_the_name_of_the_store_s_own(store: Store, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    index(store, make_key(tmp_path / "given" / "melange.rsa"))
    assert verify_store(place(store)).problems == ()


def test_a_package_beside_what_is_published_is_told(store: Store) -> None:
    stray = store.packages / "c-1-r0.apk"
    make_apk(stray, "c")
    (problem,) = verify_store(place(store)).problems
    assert (problem.address, "was not published here" in problem.what) == (str(stray), True)


def test_while_somebody_builds_the_index_may_list_less(store: Store, tmp_path: Path) -> None:
    promote(store, tmp_path, "c")
    with store.lock:
        assert verify_store(place(store)).problems == ()
    (problem,) = verify_store(place(store)).problems
    assert problem.what.startswith("does not list c-1-r0.apk")


def test_only_what_no_record_names_and_nobody_renewed_goes(store: Store, tmp_path: Path) -> None:
    needed = blob(store, "a")
    unneeded = {}
    for days in (1, 6.9, 7.1, 100):
        record = promote(store, tmp_path, "c", data=str(days).encode())
        unneeded[days] = blob(store, "c")
        (store.state / record_name("x86_64", record)).unlink()
        age(unneeded[days], days)
    age(needed, 1000)
    assert prune_store(place(store), dry_run=True).blobs == 2
    assert all(path.exists() for path in unneeded.values())
    assert prune_store(place(store)).blobs == 2
    assert [path.exists() for path in unneeded.values()] == [True, True, False, False]
    assert needed.exists()
    assert prune_store(place(store)).blobs == 0
    assert not list(store.state.rglob(".tmp-*"))


def test_old_runs_go_but_the_latest_and_what_records_name(store: Store, tmp_path: Path) -> None:
    runs = [store.runs.begin() for _ in range(14)]
    for number, run in enumerate(sorted(runs, key=lambda run: run.id)):
        for path in (run.journal, store.runs.log(run, "a")):
            path.write_text(run.id)
            age(path, 29 if number == 1 else 31)
    ids = sorted(run.id for run in runs)
    by_id = {run.id: run for run in runs}
    record = promote(store, tmp_path, "d", log=by_id[ids[3]].names.log("a"))
    assert record.log
    (store.root / "logs/x86_64/gone.log").symlink_to("nowhere")
    assert prune_store(place(store), dry_run=True).runs == 3
    assert len(list(store.runs.all())) == 14
    assert prune_store(place(store)).runs == 3
    assert [run.id for run in store.runs.all()] == [*reversed([ids[1], *ids[4:]])]
    assert by_id[ids[3]].log("a").exists()
    assert not (store.state / "runs" / ids[0]).exists()
    assert not (store.root / "logs/x86_64/gone.log").is_symlink()
    assert prune_store(place(store)).runs == 0


def test_what_a_build_renews_while_it_is_pruned_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = promote(store, tmp_path, "c")
    path = blob(store, "c")
    (store.state / record_name("x86_64", record)).unlink()
    age(path, 100)
    real = DirectoryObjects.delete_older

    def renew_first(self: DirectoryObjects, name: str, seconds: float) -> bool:
        promote(store, tmp_path, "c")
        return real(self, name, seconds)

    monkeypatch.setattr(DirectoryObjects, "delete_older", renew_first)
    assert prune_store(place(store)).blobs == 0
    assert path.exists()
    index(store)
    assert verify_store(place(store)).problems == ()


def test_a_build_that_relies_on_a_blob_that_is_just_removed_makes_it_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(store, tmp_path, "c")
    path = blob(store, "c")

    def vanish(self: DirectoryObjects, name: str) -> bool:
        path.unlink()
        return False

    monkeypatch.setattr(DirectoryObjects, "renew", vanish)
    promote(store, tmp_path, "c")
    assert path.exists()


def test_nothing_is_removed_if_a_record_cannot_be_read(store: Store) -> None:
    record = store.state / record_name("x86_64", store.records["a", "1-r0"])
    overwrite(record, b'{"format": 99}')
    age(blob(store, "a"), 100)
    with pytest.raises(UsageError, match="cannot be read as a record: format is wrong") as caught:
        prune_store(place(store))
    assert "if it is damaged, remove it" in (caught.value.hint or "")
    assert blob(store, "a").exists()


def test_a_directory_that_is_no_store_is_said(tmp_path: Path) -> None:
    for look in (verify_store, prune_store):
        with pytest.raises(UsageError, match="is no store"):
            look(StorePlace(str(tmp_path), tmp_path))
