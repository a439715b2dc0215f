"""A store of format 1 is taken over as it is, whenever the process dies."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePath

import pytest

from dag.core.arch import Arch
from dag.core.store.records import Built, Record
from dag.io.store.blobs import Blobs
from dag.io.store.local import Store
from dag.io.store.takeover import read_old_records, take_over
from tests.support.apks import make_apk, read
from tests.support.oldstores import make_old

X86 = Arch.parse("x86_64")
UNITS = {"a": ("a", "a-dev"), "b": ("b",)}


def opened(root: Path) -> Store:
    store = Store(root, X86)
    store.prepare()
    store.lock.try_acquire()
    store.recover(pytest.fail)
    return store


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return an old store."""
    store = opened(tmp_path / "old")
    for origin, names in UNITS.items():
        staged = {}
        for name in names:
            make_apk(tmp_path / f"{name}-1-r0.apk", name, origin=origin)
            staged[f"{name}-1-r0.apk"] = store.blobs.stage(tmp_path, PurePath(f"{name}-1-r0.apk"))
        built = tuple(Built(apk=one.apk, requires=("z",)) for one in staged.values())
        store.promote(
            Record(
                name=origin,
                version="1-r0",
                key="0" * 64,
                fingerprint=f"definition of {origin}",
                seconds=2,
                built=built,
            ),
            staged,
        )
        (store.log_links / f"{origin}.log").write_text("log")
    store.close()
    make_old(store.root)
    return store.root


def summary(store: Store) -> dict[str, object]:
    return {
        record.name: (
            record.version,
            record.fingerprint,
            record.seconds,
            [(one.apk.name, one.requires) for one in record.built],
        )
        for record in store.records.values()
    }


EXPECTED = {
    origin: ("1-r0", f"definition of {origin}", 2, [(name, ("z",)) for name in names])
    for origin, names in UNITS.items()
}


def test_all_of_it_counts_and_no_published_file_changes(old: Path) -> None:
    before = {path: path.stat().st_ino for path in (old / "x86_64").iterdir()}
    for _ in range(2):
        store = opened(old)
        take_over(store, pytest.fail)
        assert summary(store) == EXPECTED
        for record in store.records.values():
            for one in record.built:
                assert store.blobs.is_whole(one.apk.sha256)
        store.close()
    assert {path: path.stat().st_ino for path in (old / "x86_64").iterdir()} == before
    assert list((old / ".dag/records/x86_64").glob("*.json")) == []


def test_a_dry_run_reads_it_without_a_change(old: Path) -> None:
    before = sorted(old.rglob("*"))
    store = Store(old, X86)
    store.read()
    read_old_records(store)
    assert summary(store) == EXPECTED
    assert sorted(old.rglob("*")) == before
    store.close()


def test_a_full_disk_in_the_middle_loses_nothing(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 1

    def keep(self: Blobs, staged: object) -> None:
        nonlocal left
        if not left:
            raise OSError(28, "No space left on device")
        left -= 1
        real(self, staged)  # type: ignore[arg-type]

    real = Blobs.keep
    monkeypatch.setattr(Blobs, "keep", keep)
    store = opened(old)
    with pytest.raises(OSError, match="No space"):
        take_over(store, pytest.fail)
    store.close()
    left = 99
    store = opened(old)
    take_over(store, pytest.fail)
    assert summary(store) == EXPECTED
    store.close()


def test_what_is_damaged_is_told_and_the_rest_counts(old: Path) -> None:
    (old / ".dag/records/x86_64/a-1-r0.json").write_text("junk")
    (old / "x86_64/b-1-r0.apk").unlink()
    said: list[str] = []
    store = opened(old)
    take_over(store, said.append)
    assert summary(store) == {}
    assert len(said) == 1
    assert "a-1-r0.json is damaged" in said[0]
    store.close()


def test_a_unit_on_its_way_in_when_dag_was_killed_is_brought_in(old: Path) -> None:
    record = old / ".dag/records/x86_64/b-1-r0.json"
    for name, finished in (("c.tmp", False), ("b-1-r0", True)):
        place = old / ".dag/promote/x86_64" / name
        place.mkdir()
        shutil.copy(record, place / "record.json")
        if finished:
            (old / "x86_64/b-1-r0.apk").rename(place / "b-1-r0.apk")
    record.unlink()
    store = opened(old)
    take_over(store, pytest.fail)
    assert summary(store) == EXPECTED
    assert read(old / "x86_64/b-1-r0.apk").name == "b"
    assert not (old / ".dag/promote/x86_64").exists()
    store.close()
