"""What a store goes on with: one of several results, and what units needed."""

from __future__ import annotations

import os
from pathlib import Path

from dag.io.store.local import Store
from tests.support.stores import promote


def test_of_several_results_that_of_the_run_before_goes_before_the_published_one(
    store: Store, tmp_path: Path
) -> None:
    results = [
        promote(store, tmp_path, "a", data=data, fingerprint="f").result
        for data in (b"one", b"two", b"three")
    ]
    for chosen, wanted in ((results[0], 0), (results[1], 1), ("0" * 64, 2), (None, 2)):
        store.chosen = {"a": chosen} if chosen else {}
        for found in (store.find("a", "1-r0", "f"), store.find_key("a", "0" * 64)):
            assert found is not None
            assert found.result == results[wanted]


def test_what_a_unit_needed_is_remembered_and_only_ever_grows(store: Store) -> None:
    said: list[str] = []
    store.hints.remember({"a": 5}, said.append)
    store.hints.remember({"a": 3, "b": 1}, said.append)
    assert store.hints.all() == {"a": 5, "b": 1}
    assert store.disk_hints.all() == {}
    store.disk_hints.remember({"a": 7}, said.append)
    assert (store.disk_hints.all(), store.hints.all()) == ({"a": 7}, {"a": 5, "b": 1})
    assert said == []


def test_what_a_unit_needed_ends_no_build_if_it_cannot_be_remembered(store: Store) -> None:
    hints = store.state / "hints-x86_64.json"
    hints.touch()
    os.truncate(hints, (64 << 20) + 1)
    said: list[str] = []
    store.hints.remember({"a": 5}, said.append)
    assert len(said) == 1
    assert "the memory that units needed is not remembered" in said[0]
    assert "hints-x86_64.json" in said[0]
