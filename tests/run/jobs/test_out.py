"""What a store publishes after a build is what `--out` is held against."""

from __future__ import annotations

from dag.core.package.apk import Apk
from dag.core.store.records import Built, Inputs, Record
from dag.run.jobs.out import records_there


def record(name: str, version: str, digest: str, *packages: str) -> Record:
    apks = (
        Apk(
            name=package,
            version=version,
            arch="x86_64",
            origin=name,
            depends=(),
            provides=(),
            installed_size=1,
            data_hash="d" * 64,
            sha256=digest * 64,
            size=1,
            stanza=f"P:{package}\nV:{version}",
        )
        for package in packages
    )
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
