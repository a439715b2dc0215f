"""What another store has of the same definitions is not built again."""

from __future__ import annotations

import os
from pathlib import Path

from dag.core.store.layout import blob_name
from tests.support.builds import SHARE, Make, apks, definition, run
from tests.torture.distribution import index


def test_units_of_another_store_are_taken_published_and_built_with(
    make: Make, tmp_path: Path
) -> None:
    units = {"a": definition("a"), "b": definition("b", "a"), "x": definition("x")}
    place = make(**units)
    first = tmp_path / "first"
    assert run(place, "--store", str(first))[0] == 0

    units["c"] = definition("c", "b", runs=f"test -s {SHARE}/b")
    units["x"] = definition("x", runs="true # another definition")
    make(**units)
    words = ["--from", str(first)]
    code, out, said = run(place, *words, "--dry-run")
    assert code == 0, said
    assert "skipped b 1-r0: in the store" in out
    assert not (place / "packages").exists()
    code, _, said = run(place, "c", "x", *words)
    assert code == 0, said
    assert "dag: 2 built in" in said, said
    # What c needs is published with it.
    assert apks(place) == index(place / "packages")
    assert apks(place) == ["a-1-r0.apk", "b-1-r0.apk", "c-1-r0.apk", "x-1-r0.apk"]
    assert run(place, "verify", command="store")[0] == 0
    # From then on the other store is not needed.
    code, _, said = run(place)
    assert "0 packages to build" in said, said


def test_what_is_damaged_there_is_not_taken(make: Make, tmp_path: Path) -> None:
    place = make(a=definition("a"))
    first = tmp_path / "first"
    assert run(place, "--store", str(first))[0] == 0
    (blob,) = (first / ".dag" / blob_name("")).iterdir()
    blob.chmod(0o644)
    size = blob.stat().st_size
    with blob.open("rb+") as file:
        file.seek(size - 20)
        file.write(os.urandom(8))
    code, _, said = run(place, "--from", str(first))
    assert code == 3
    assert f"a 1-r0 of the store {first} cannot be used" in said
    code, out, _ = run(place, "verify", "--store", str(first), command="store")
    assert code == 1
    assert f"{blob} has the SHA-256" in out

    for wrong, words in ((place, "is no store"), (place / "packages", "is the store itself")):
        code, _, said = run(place, "--from", str(wrong))
        assert code == 2
        assert words in said
