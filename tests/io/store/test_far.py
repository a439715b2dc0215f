"""A store in a bucket: what takes long there is asked once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath

from dag.core.arch import Arch
from dag.core.store.layout import RECORDS, STATE
from dag.core.store.records import Built, Record
from dag.io.store.directory import DirectoryObjects
from dag.io.store.local import Store
from dag.io.store.objects import BucketObjects, ObjectFacts
from tests.support.apks import make_apk


class Counted(DirectoryObjects):
    """Objects that count how often each folder is listed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, root / "lock")
        self.listed: Counter[str] = Counter()

    def list(self, folder: str) -> Iterator[ObjectFacts]:
        self.listed[folder] += 1
        return super().list(folder)


def test_the_records_of_all_units_are_listed_at_once(tmp_path: Path) -> None:
    state = Counted(tmp_path / "bucket" / STATE)
    bucket = BucketObjects("s3://b", Counted(tmp_path / "bucket"), state)
    store = Store(tmp_path / "near", Arch.parse("x86_64"), bucket)
    store.prepare()
    store.read()
    make_apk(tmp_path / "a-1-r0.apk", "a")
    staged = store.blobs.stage(tmp_path, PurePath("a-1-r0.apk"))
    built = (Built(apk=staged.apk),)
    record = Record(name="a", version="1-r0", key="0" * 64, fingerprint="f", seconds=0, built=built)
    store.promote(record, {"a-1-r0.apk": staged})
    assert store.find("a", "1-r0", "f") == record
    store.read()
    state.listed.clear()
    assert [one.name for one in store.records_of("a")] == ["a"]
    assert [store.find(name, "1-r0", "f") for name in ("b", "c")] == [None, None]
    assert not any(name.startswith(RECORDS) for name in state.listed)
    store.close()
