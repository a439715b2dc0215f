"""The store: what goes in goes in as a whole, whenever the process dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dag.core.arch import Arch
from dag.core.package.apkindex import read_index
from dag.core.package.model import Package, Subpackage
from dag.core.store.records import Built, Record
from dag.io import durable
from dag.io.package.apk import read_apk
from dag.io.package.apkindex import _text
from dag.io.store.local import Store, remove
from dag.io.store.lock import Held, Lock, holder
from tests.support.apks import make_apk

X86 = Arch.parse("x86_64")


def opened(root: Path) -> Store:
    store = Store(root, X86)
    store.prepare()
    store.recover(print)
    return store


def unit(
    place: Path, name: str = "a", *others: str, version: str = "1-r0", data: bytes = b"data"
) -> tuple[Record, dict[str, Path]]:
    place.mkdir(exist_ok=True)
    built = []
    files = {}
    for one in (name, *others):
        file = f"{one}-{version}.apk"
        files[file] = make_apk(place / file, one, version, origin=name, data=data)
        built.append(Built(apk=read_apk(files[file])))
    record = Record(name=name, version=version, fingerprint="f", seconds=1.5, built=tuple(built))
    return record, files


def apks(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "x86_64").glob("*.apk"))


def test_a_unit_is_there_for_the_next_one_who_opens(tmp_path: Path) -> None:
    record, files = unit(tmp_path / "made", "a", "a-dev")
    opened(tmp_path / "store").promote(record, files)
    again = opened(tmp_path / "store")
    assert again.records == {("a", "1-r0"): record}
    assert apks(tmp_path / "store") == ["a-1-r0.apk", "a-dev-1-r0.apk"]
    assert again.seconds() == {"a": 1.5}


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


def moments() -> Iterator[int]:
    yield from range(1, 200)


@pytest.mark.parametrize("before", ["nothing", "an older build of it"])
def test_whenever_it_dies_a_unit_is_there_as_a_whole_or_not_at_all(
    tmp_path: Path, before: str
) -> None:
    outcomes = set()
    for moment in moments():
        root = tmp_path / f"store-{moment}"
        store = opened(root)
        old = None
        if before != "nothing":
            old, files = unit(tmp_path / "old", "a", "a-doc", data=b"old")
            store.promote(old, files)
        record, files = unit(tmp_path / "new", "a", "a-dev", data=b"new")
        with pytest.MonkeyPatch.context() as patch:
            count = dying(patch, moment)
            try:
                store.promote(record, files)
                died = False
            except Died:
                died = True
            total = count()
        after = opened(root)
        there = after.records.get(("a", "1-r0"))
        outcomes.add("new" if there == record else "old" if there == old else "broken")
        assert there in (record, old)
        assert apks(root) == sorted(there.files if there else ())
        for file, apk in (there.files if there else {}).items():
            assert read_apk(root / "x86_64" / file) == apk
        left = [path for path in (root / ".dag").rglob("*") if ".tmp" in path.name]
        assert left == []
        assert list((root / ".dag" / "promote" / "x86_64").iterdir()) == []
        if not died:
            assert total < moment
            break
    else:
        pytest.fail("it always died")
    assert outcomes == {"new", "old"}  # both happen, and nothing else


def test_a_record_whose_package_is_gone_or_cut_counts_for_nothing(tmp_path: Path) -> None:
    for damage in ("gone", "cut"):
        root = tmp_path / damage
        record, files = unit(tmp_path / f"made-{damage}", "a", "a-dev")
        opened(root).promote(record, files)
        path = root / "x86_64" / "a-dev-1-r0.apk"
        data = path.read_bytes()
        path.unlink()
        if damage == "cut":
            path.write_bytes(data[:-1])
        assert opened(root).records == {}


def test_two_versions_live_side_by_side(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    for version in ("1-r0", "2-r0"):
        store.promote(*unit(tmp_path / version, version=version))
    assert len(opened(tmp_path / "store").records) == 2


def test_what_make_has_left_is_adopted_if_it_is_complete(tmp_path: Path) -> None:
    root = tmp_path / "store"
    opened(root)
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
    store = opened(root)
    store.adopt(
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
        "the packages of cut 1-r0 in the store do not count, and are built again: cut-1-r0.apk: its data"
        in said[0]
    )
    assert "other-1-r0.apk says that it is liar 1-r0 of other for x86_64" in said[1]
    assert list(opened(root).records) == [("whole", "1-r0")]


def test_the_index_lists_what_is_there_and_stays_as_it_is_if_nothing_changed(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path / "store")
    store.promote(*unit(tmp_path / "b", "b"))
    store.promote(*unit(tmp_path / "a", "a", "a-dev"))
    signed: list[Path] = []
    signature = b"signature"

    def sign(path: Path) -> None:
        signed.append(path)
        path.write_bytes(signature + path.read_bytes())

    index = store.write_index(sign)
    assert index.read_bytes().startswith(b"signature")
    entries = read_index(_text(index.read_bytes().removeprefix(b"signature")))
    assert [entry.name for entry in entries] == ["a", "a-dev", "b"]
    store.write_index(sign)
    assert len(signed) == 1
    made = index.stat().st_ino
    store.write_index(sign, anew=True)
    assert len(signed) == 2
    assert index.stat().st_ino == made
    signature = b"other"
    index.write_bytes(index.read_bytes().removeprefix(b"signature"))
    store.write_index(sign)  # a store that never had a key
    assert index.read_bytes().startswith(b"other")
    signature = b"third"
    store.write_index(sign, anew=True)
    assert index.read_bytes().startswith(b"third")


def test_what_a_unit_needed_is_remembered_and_only_ever_grows(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    store.remember_ram("a", 5)
    store.remember_ram("a", 3)
    store.remember_ram("b", 1)
    assert opened(tmp_path / "store").ram() == {"a": 5, "b": 1}


def test_removes_what_a_build_has_made_unremovable(tmp_path: Path) -> None:
    place = tmp_path / "work"
    (place / "deep" / "deeper").mkdir(parents=True)
    (place / "deep" / "deeper" / "file").write_text("")
    (place / "link").symlink_to("/")
    (place / "deep" / "deeper").chmod(0)
    (place / "deep").chmod(0o500)
    remove(place)
    assert not place.exists()


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, b"one")
    durable.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


HOLD = """
import sys
from pathlib import Path
from dag.io.store.lock import Lock
Lock(Path(sys.argv[1]), what="the store").try_acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_says_who_holds_it_and_goes_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder(path) == process.pid
        with pytest.raises(Held, match=f"the store is in use by process {process.pid} on "):
            Lock(path, what="the store").try_acquire()
        process.kill()
        process.communicate()
    assert holder(path) is None
    with Lock(path, what="the store"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_what_is_no_file_is_no_package_and_a_damaged_record_is_told(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    store.promote(*unit(tmp_path / "a", "a"))
    store.promote(*unit(tmp_path / "b", "b"))
    store.promote(*unit(tmp_path / "c", "c"))
    records = store.state / "records" / "x86_64"
    (records / "a-1-r0.json").write_text("junk")
    (records / "b-1-r0.json").unlink()
    (records / "b-1-r0.json").mkdir()
    (store.packages / "dangling-1-r0.apk").symlink_to("/nonexistent")
    (store.packages / "directory-1-r0.apk").mkdir()
    said: list[str] = []
    again = Store(tmp_path / "store", Arch.parse("x86_64"))
    again.recover(said.append)
    assert [line.split("/")[-1].split(" ")[0] for line in said] == ["a-1-r0.json", "b-1-r0.json"]
    names = ("a", "dangling", "directory")
    wanted = [Package(name=n, version="1", epoch=0, file=f"{n}.yaml", line=1) for n in names]
    again.adopt(wanted, said.append)
    assert sorted(again.records) == [("a", "1-r0"), ("c", "1-r0")]
    assert len(said) == 2
