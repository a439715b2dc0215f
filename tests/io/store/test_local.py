"""The store: what goes in goes in as a whole, whenever the process dies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest

from dag.core.arch import Arch
from dag.core.package.model import Package, Subpackage
from dag.core.store.layout import blob_name, record_name
from dag.core.store.records import Built, Record
from dag.errors import InfrastructureError
from dag.io.package.prover import PackageReader
from dag.io.store import blobs
from dag.io.store.blobs import StagedApk
from dag.io.store.local import Store
from dag.io.store.takeover import adopt
from tests.support.apks import make_apk, read

X86 = Arch.parse("x86_64")
_OPENED: list[Store] = []


class _Reader(PackageReader):
    """A reader of packages that stays: starting one for each store takes longer than the tests."""

    def close(self) -> None:
        """Leave the process alive for the next store."""


@pytest.fixture(scope="module")
def reader() -> Iterator[PackageReader]:
    shared = _Reader()
    yield shared
    PackageReader.close(shared)


@pytest.fixture(autouse=True)
def closed(reader: PackageReader, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(blobs, "PackageReader", lambda: reader)
    yield
    while _OPENED:
        _OPENED.pop().close()


def opened(root: Path, say: Callable[[str], None] = print) -> Store:
    store = Store(root, X86)
    _OPENED.append(store)
    store.prepare()
    store.lock.try_acquire()
    store.recover(say)
    return store


def again(store: Store) -> Store:
    """Return the store as the next one finds it who opens it."""
    store.close()
    return opened(store.root)


def unit(
    store: Store,
    place: Path,
    name: str = "a",
    *others: str,
    version: str = "1-r0",
    data: bytes = b"data",
    fingerprint: str = "f",
) -> tuple[Record, dict[str, StagedApk]]:
    """Make the packages of a unit in a place, and let the store stage them."""
    place.mkdir(exist_ok=True)
    built = []
    staged = {}
    for one in (name, *others):
        file = f"{one}-{version}.apk"
        make_apk(place / file, one, version, origin=name, data=data)
        staged[file] = store.blobs.stage(place, PurePath(file))
        built.append(Built(apk=staged[file].apk))
    record = Record(
        name=name,
        version=version,
        key=f"{len(fingerprint):064x}",
        fingerprint=fingerprint,
        seconds=1.5,
        built=tuple(built),
    )
    return record, staged


def unsigned(_: Iterable[Path]) -> None:
    """Sign nothing."""


def apks(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "x86_64").glob("*.apk"))


def test_a_unit_is_there_for_the_next_one_who_opens(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    record, staged = unit(store, tmp_path / "made", "a", "a-dev")
    assert store.promote(record, staged) == 1
    store = again(store)
    assert store.records == {("a", "1-r0"): record}
    assert apks(tmp_path / "store") == ["a-1-r0.apk", "a-dev-1-r0.apk"]
    assert store.seconds() == {"a": 1.5}
    assert list(store.incoming.iterdir()) == []


class Died(BaseException):
    """The process died at this moment."""


def dying(monkeypatch: pytest.MonkeyPatch, moment: int) -> Callable[[], int]:
    """Count every step that changes the disk, and let the one at `moment` not happen."""
    count = 0

    def step(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*given: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == moment:
                raise Died
            return real(*given, **more)

        return wrapper

    for name in ("mkdir", "rename", "replace", "unlink", "rmdir", "open"):
        monkeypatch.setattr(Path, name, step(getattr(Path, name)))
    for name in ("link", "unlink", "rmdir", "fsync"):
        monkeypatch.setattr(os, name, step(getattr(os, name)))
    return lambda: count


@pytest.mark.long
@pytest.mark.parametrize("before", ["nothing", "an older build of it"])
def test_whenever_it_dies_a_unit_is_there_as_a_whole_or_not_at_all(
    tmp_path: Path, before: str
) -> None:
    outcomes = set()
    for moment in range(1, 200):
        root = tmp_path / f"store-{moment}"
        store = opened(root)
        old = None
        if before != "nothing":
            old, files = unit(store, tmp_path / "old", "a", "a-doc", data=b"old", fingerprint="g")
            store.promote(old, files)
        record, files = unit(store, tmp_path / "new", "a", "a-dev", data=b"new")
        with pytest.MonkeyPatch.context() as patch:
            count = dying(patch, moment)
            died = False
            try:
                store.promote(record, files)
            except Died:
                died = True
        store = again(store)
        there = store.find("a", "1-r0", "f") or store.find("a", "1-r0", "g")
        outcomes.add("new" if there == record else "old" if there == old else "broken")
        assert there in (record, old)
        published = store.records.get(("a", "1-r0"))
        assert published in (record, old) or ("a", "1-r0") in store.half_published
        if published:
            assert apks(root) == sorted(published.files)
        if there:  # what is finished is published by the next one who wants it
            store.publish(there, unsigned)
            store = again(store)
            assert apks(root) == sorted(there.files)
        for file, apk in (there.files if there else {}).items():
            assert read(root / "x86_64" / file) == apk
        assert [path for path in (root / ".dag").rglob("*") if ".tmp" in path.name] == []
        assert list(store.incoming.iterdir()) == []
        store.close()
        if not died:
            assert count() < moment
            break
    else:
        pytest.fail("it always died")
    assert outcomes == {"new", "old"}  # both happen, and nothing else


def test_what_is_published_follows_from_the_record(tmp_path: Path) -> None:
    for damage in ("gone", "cut"):
        root = tmp_path / damage
        store = opened(root)
        record, files = unit(store, tmp_path / f"made-{damage}", "a", "a-dev")
        store.promote(record, files)
        path = root / "x86_64" / "a-dev-1-r0.apk"
        data = path.read_bytes()
        path.unlink()
        if damage == "cut":
            path.write_bytes(data[:-1])
        store = again(store)
        assert store.records == {}
        assert store.find("a", "1-r0", "f") == record
        store.publish(record, unsigned)
        assert path.read_bytes() == data
        assert again(store).records == {("a", "1-r0"): record}


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_record_whose_blob_is_gone_or_cut_counts_for_nothing(tmp_path: Path, damage: str) -> None:
    store = opened(tmp_path / "store")
    record, files = unit(store, tmp_path / "made")
    store.promote(record, files)
    blob = store.state / blob_name(record.built[0].apk.sha256)
    data = blob.read_bytes()
    blob.unlink()
    if damage == "cut":
        blob.write_bytes(data[:-1])
    store = again(store)
    assert store.records == {}
    assert store.find("a", "1-r0", "f") is None
    # It comes back when it is built again.
    store.promote(*unit(store, tmp_path / "made"))
    assert blob.read_bytes() == data


def test_a_definition_that_is_turned_back_has_its_record(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    records = {}
    for fingerprint, data in (("f", b"one"), ("gg", b"two")):
        records[fingerprint], files = unit(
            store, tmp_path / fingerprint, data=data, fingerprint=fingerprint
        )
        store.promote(records[fingerprint], files)
    assert store.find("a", "1-r0", "gg") == store.records["a", "1-r0"] == records["gg"]
    assert store.find("a", "1-r0", "f") == records["f"]
    assert store.find("a", "2-r0", "f") is None
    signed: list[str] = []

    def sign(paths: Iterable[Path]) -> None:
        signed.extend(path.name for path in paths)

    store.publish(records["f"], sign)
    store.publish(records["f"], sign)
    assert signed == ["a-1-r0.apk"]
    assert read(tmp_path / "store/x86_64/a-1-r0.apk") == records["f"].built[0].apk
    assert again(store).records == {("a", "1-r0"): records["f"]}


def test_another_result_of_the_same_key_is_told(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    counts = [
        store.promote(*unit(store, tmp_path / str(number), data=data))
        for number, data in enumerate((b"one", b"one", b"two"))
    ]
    assert counts == [1, 1, 2]


def test_a_unit_gets_its_own_copy_and_only_of_what_has_its_hash(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    record, files = unit(store, tmp_path / "made")
    store.promote(record, files)
    (apk,) = record.files.values()
    (tmp_path / "one").mkdir()
    copy = store.blobs.hand_out(apk, tmp_path / "one")
    assert copy.name == "a-1-r0.apk"
    assert copy.stat().st_nlink == 1
    copy.write_bytes(b"a step wrote this")
    blob = store.state / blob_name(apk.sha256)
    assert read(blob) == apk
    blob.chmod(0o644)
    with blob.open("rb+") as file:
        file.seek(-1, 2)
        file.write(b"x")
    (tmp_path / "two").mkdir()
    with pytest.raises(InfrastructureError, match=f"{apk.sha256}, which is a 1-r0, is damaged"):
        store.blobs.hand_out(apk, tmp_path / "two")
    # What is built again heals it.
    store.promote(*unit(store, tmp_path / "made"))
    assert read(blob) == apk


def test_what_is_written_after_the_proof_changes_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    (tmp_path / "made").mkdir()
    path = make_apk(tmp_path / "made/a-1-r0.apk", "a")
    with path.open("rb+") as held:
        record, files = unit(store, tmp_path / "made")
        store.promote(record, files)
        held.write(b"changed")
        held.flush()
    (apk,) = record.files.values()
    assert read(store.packages / "a-1-r0.apk") == apk
    assert store.blobs.is_whole(apk.sha256)


def test_a_package_that_left_its_unit_is_free_for_another(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    store.promote(*unit(store, tmp_path / "one", "a", "tool"))
    store.promote(*unit(store, tmp_path / "two", "a", fingerprint="other"))
    store.promote(*unit(store, tmp_path / "three", "tool"))
    for _ in range(2):
        assert sorted(store.records) == [("a", "1-r0"), ("tool", "1-r0")]
        assert apks(tmp_path / "store") == ["a-1-r0.apk", "tool-1-r0.apk"]
        store = again(store)


def test_a_package_that_moved_to_another_definition_is_of_that(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    store.promote(*unit(store, tmp_path / "old", "a", "tool"))
    moved, files = unit(store, tmp_path / "new", "b", "tool")
    store.promote(moved, files)
    assert list(store.records) == [("b", "1-r0")]
    store = again(store)
    assert list(store.records) == [("b", "1-r0")]
    assert {one.apk.name for one in store.published()} == {"b", "tool"}


def test_two_versions_live_side_by_side(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    for version in ("1-r0", "2-r0"):
        store.promote(*unit(store, tmp_path / version, version=version))
    assert len(again(store).records) == 2


def test_what_make_has_left_is_adopted_if_it_is_complete(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = opened(root)
    place = root / "x86_64"
    for name in ("whole", "whole-dev", "part", "cut", "other"):
        origin = name.removesuffix("-dev")
        make_apk(place / f"{name}-1-r0.apk", "liar" if name == "other" else name, origin=origin)
    cut = place / "cut-1-r0.apk"
    cut.write_bytes(cut.read_bytes()[:-3])

    def package(name: str, *subpackages: str) -> Package:
        subs = tuple(Subpackage(one, "x.yaml", 1) for one in subpackages)
        return Package(name=name, version="1", epoch=0, file="x.yaml", line=1, subpackages=subs)

    said: list[str] = []
    whole = (place / "whole-1-r0.apk").stat().st_ino
    adopt(
        store,
        [
            package("whole", "whole-dev"),
            package("part", "part-dev"),
            package("cut"),
            package("other"),
            package("none"),
        ],
        said.append,
    )
    assert list(store.records) == [("whole", "1-r0")]
    assert len(said) == 2
    assert (
        "the packages of cut 1-r0 in the store do not count, and are replaced: cut-1-r0.apk: its data"
        in said[0]
    )
    assert "other-1-r0.apk says that it is liar 1-r0 of other for x86_64" in said[1]
    assert (place / "whole-1-r0.apk").stat().st_ino == whole
    assert list(again(store).records) == [("whole", "1-r0")]


def test_a_package_that_moves_twice_in_one_build_is_published_of_the_last(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    one, staged = unit(store, tmp_path / "one", "a", "b")
    store.promote(one, staged)
    other, staged = unit(store, tmp_path / "other", "b")
    del store.records["a", "1-r0"]  # another attempt at it has begun to publish
    store.promote(other, staged)
    assert store.records == {("b", "1-r0"): other}


@pytest.mark.parametrize("kind", ["link", "directory"])
def test_what_is_no_file_in_the_place_of_a_blob_is_replaced(tmp_path: Path, kind: str) -> None:
    store = opened(tmp_path / "store")
    record, staged = unit(store, tmp_path / "made")
    blob = store.state / blob_name(record.built[0].apk.sha256)
    blob.parent.mkdir(parents=True)
    blob.symlink_to("/dev/zero") if kind == "link" else blob.mkdir()
    store.promote(record, staged)
    assert not blob.is_symlink()
    assert store.blobs.is_whole(record.built[0].apk.sha256)


def test_what_is_no_file_is_no_package_and_a_damaged_record_is_told(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    for name in "abc":
        store.promote(*unit(store, tmp_path / name, name))
    path = store.state / record_name("x86_64", store.records["a", "1-r0"])
    path.chmod(0o644)
    path.write_text("junk")
    path = store.state / record_name("x86_64", store.records["b", "1-r0"])
    path.unlink()
    path.mkdir()
    (store.packages / "dangling-1-r0.apk").symlink_to("/nonexistent")
    (store.packages / "directory-1-r0.apk").mkdir()
    store.close()
    said: list[str] = []
    store = opened(tmp_path / "store", said.append)
    assert ["/records/x86_64/a/" in line and "is damaged" in line for line in said] == [True, False]
    names = ("a", "b", "dangling", "directory")
    wanted = [Package(name=n, version="1", epoch=0, file=f"{n}.yaml", line=1) for n in names]
    adopt(store, wanted, said.append)
    assert sorted(store.records) == [("a", "1-r0"), ("b", "1-r0"), ("c", "1-r0")]
    assert len(said) == 2
