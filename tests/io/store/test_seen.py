"""What was seen when it was proven is remembered, whenever the machine loses power."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from dag.core.store.records import Record
from dag.core.store.requests import facts_of
from dag.io.store.seen import SeenRecords

ONE = Record(name="one", version="1-r0", key="0" * 64, fingerprint="", seconds=0, built=())
TWO = replace(ONE, name="two")


def test_half_a_line_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "keys/seen-x86_64"
    assert SeenRecords(path).all() == frozenset()
    SeenRecords(path).add(ONE)
    with path.open("a") as file:
        file.write("0123456789abcdef")  # and the power was gone
    SeenRecords(path).add(TWO)
    assert {facts_of(ONE), facts_of(TWO)} <= SeenRecords(path).all()


def test_it_is_on_the_disk_before_anybody_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "seen-x86_64", set[str]()
    fsync = os.fsync

    def sync(descriptor: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    SeenRecords(path).add(ONE)
    assert synced == {str(path), str(tmp_path)}
