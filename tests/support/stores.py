"""A store of a test, and finished units in it, of packages that are made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

from dag.core.arch import Arch
from dag.core.store.records import Built, Record
from dag.io.store.local import Store
from tests.support.apks import make_apk


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    made = Store(tmp_path / "store", Arch.parse("x86_64"))
    made.prepare()
    yield made
    made.close()


def promote(
    store: Store,
    place: Path,
    name: str,
    *packages: str,
    data: bytes = b"data",
    fingerprint: str = "",
    log: str = "",
) -> Record:
    """Publish a unit of these packages, or of the one of its own name; they are made in `place`."""
    staged = {}
    for one in packages or (name,):
        path = make_apk(place / f"{one}-1-r0.apk", one, origin=name, data=data)
        staged[path.name] = store.blobs.stage(place, PurePath(path.name))
    record = Record(
        name=name,
        version="1-r0",
        key="0" * 64,
        fingerprint=fingerprint,
        seconds=0,
        log=log,
        built=tuple(Built(apk=one.apk) for one in staged.values()),
    )
    store.promote(record, staged)
    return record
