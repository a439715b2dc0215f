"""Packages whose definitions were removed are forgotten, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.build.storeoptions import PruneStoreOptions
from dag.io.store.local import Store
from dag.io.store.places import open_place
from dag.run.build.gone import forget_gone
from tests.support.builds import Make, apks, definition, run
from tests.support.stores import promote
from tests.torture.distribution import index
from tests.torture.kills import environment

pytestmark = pytest.mark.installs


def test_only_what_no_definition_defines_is_forgotten(make: Make) -> None:
    place = make(a=definition("a"), b=definition("b", "a"), c=definition("c"))
    store = place / "packages"
    code, _, said = run(place)
    assert code == 0, said
    (place / "b.yaml").unlink()
    prune = ("store", "prune", "--gone")

    def pruned(*words: str) -> tuple[int, str, str]:
        return run(place, *prune[1:], *words, command=prune[0])

    (place / "broken.yaml").write_text("package: [")
    code, out, said = pruned()
    assert (code, out) == (2, "")
    assert "nobody can tell what the broken definitions define: broken.yaml" in said
    (place / "broken.yaml").unlink()
    code, out, said = pruned("--dry-run")
    assert (code, out.splitlines()[:-1]) == (0, ["b would be forgotten"]), said
    assert index(store) == ["a-1-r0.apk", "b-1-r0.apk", "c-1-r0.apk"]

    listed = (store / "x86_64/APKINDEX.tar.gz").read_bytes()
    code, out, said = pruned("--signing-key", "dag.toml")
    assert (code, "dag.toml has no public half" in said) == (2, True), said
    code, out, said = run(place, *prune[1:], command=prune[0], PATH="/nowhere")
    assert (code, "is not installed" in said) == (3, True), said
    assert apks(place) == ["a-1-r0.apk", "b-1-r0.apk", "c-1-r0.apk"]

    code, out, said = pruned()
    assert (code, out.splitlines()[:-1]) == (0, ["b forgotten"]), said
    assert index(store) == apks(place) == ["a-1-r0.apk", "c-1-r0.apk"]
    (store / "x86_64/APKINDEX.tar.gz").write_bytes(listed)  # as if that had been killed then
    assert pruned()[1].splitlines()[:-1] == []
    assert index(store) == apks(place)
    code, out, said = run(place, "verify", command="store")
    assert (code, out) == (0, "3 blobs, 2 records, 2 published files: all as it should be\n"), said
    code, _, said = run(place)
    assert (code, "2 there already" in said) == (0, True), said

    for name in ("a", "c"):
        (place / f"{name}.yaml").unlink()
    (place / "d.yaml").write_text(definition("d"))
    code, _, said = pruned()
    assert (code, "defines nothing of what the store has for x86_64" in said) == (2, True), said
    assert index(store) == ["a-1-r0.apk", "c-1-r0.apk"]


def test_what_stays_does_not_count_as_forgotten(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(store, tmp_path, "a", "a")
    promote(store, tmp_path, "b", "b")
    (tmp_path / "a.yaml").write_text(definition("a"))
    monkeypatch.setenv("PATH", environment()["PATH"])
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    options = PruneStoreOptions(directory=str(tmp_path), store=str(store.root), gone=True)
    said: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(Store, "forget", lambda *_: False)
        assert forget_gone(options, open_place(store.root, print), said.append) == ()
    assert said == ["b stays, because another build publishes it just now"]
    assert forget_gone(options, open_place(store.root, print), pytest.fail) == ("b",)


def test_who_dies_while_forgetting_leaves_what_the_next_one_forgets(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(store, tmp_path, "a", "a", "a-dev")
    promote(store, tmp_path, "b", "b")

    class Died(BaseException):
        pass

    def die(name: str) -> None:
        raise Died(name)

    with monkeypatch.context() as patched:
        patched.setattr(store.files, "delete", die)
        with pytest.raises(Died):
            store.forget("a")
    store.recover(print)
    assert store.forget("a")
    assert [path.name for path in store.packages.glob("*.apk")] == ["b-1-r0.apk"]
    assert list(store.records_of("a")) == []
    assert store.read() == []
    assert [*store.records] == [("b", "1-r0")]


def test_a_file_that_moved_to_another_unit_stays(store: Store, tmp_path: Path) -> None:
    promote(store, tmp_path, "a", "a", "a-tool")
    promote(store, tmp_path, "tool", "a-tool")
    store.read()
    assert store.forget("a")
    assert sorted(path.name for path in store.packages.glob("*.apk")) == ["a-tool-1-r0.apk"]
    assert [*store.records] == [("tool", "1-r0")]
