"""What a store publishes after a build is what `--out` is held against."""

from __future__ import annotations

from dag.core.store.records import Built, Inputs, Record
from dag.run.jobs.out import records_there
from tests.support.apks import told


def record(name: str, version: str, digest: str, *packages: str) -> Record:
    apks = (told(one, version, sha256=digest * 64, origin=name) for one in packages)
    return Record(
        name=name,
        version=version,
        key="k",
        fingerprint="f",
        inputs=Inputs(own="x", environment={}),
        epoch=0,
        seconds=1.0,
        memory=0,
        log="",
        built=tuple(Built(apk=one) for one in apks),
    )


def test_what_was_published_before_counts_as_far_as_nothing_new_has_its_files() -> None:
    old = record("old", "1-r0", "0", "old")
    again = record("again", "1-r0", "1", "again"), record("again", "1-r0", "2", "again")
    parts = record("one", "1-r0", "3", "one", "doc"), record("two", "1-r0", "4", "two", "doc")
    before = {(one.name, one.version): one for one in (old, again[0], parts[0])}
    assert records_there(before, [again[1], parts[1]]) == [old, again[1], parts[1]]
