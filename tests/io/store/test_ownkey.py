"""A store's own key lies outside of what people publish."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.errors import InfrastructureError, UsageError
from dag.io.store.directory import DirectoryObjects
from dag.io.store.local import Store
from dag.io.store.ownkey import PUBLIC_OBJECT, KeyElsewhere, find_own_key, move_out, own_key


def make(path: Path) -> None:
    path.write_text("private")
    path.with_name(f"{path.name}.pub").write_text("public")


def make_none(path: Path) -> None:
    pytest.fail(f"it made {path}")


def opened(root: Path) -> Store:
    store = Store(root, Arch.parse("x86_64"))
    store.prepare()
    return store


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def test_it_is_made_once_for_each_store_and_only_its_public_half_is_in_the_store(
    tmp_path: Path, home: Path
) -> None:
    store = opened(tmp_path / "store")
    key = own_key(store, make)
    assert key.is_relative_to(home)
    assert key.name == "melange.rsa"
    assert key.parent.stat().st_mode & 0o777 == 0o700
    assert own_key(opened(tmp_path / "store"), make_none) == key
    assert own_key(opened(tmp_path / "other"), make) != key
    texts = {path.read_text() for path in (tmp_path / "store").rglob("*") if path.is_file()}
    assert "public" in texts
    assert "private" not in texts


def test_who_only_looks_for_it_makes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", Arch.parse("x86_64"))
    assert find_own_key(store) is None
    assert not store.root.exists()
    key = own_key(opened(tmp_path / "store"), make)
    assert find_own_key(store) == key
    key.unlink()
    assert find_own_key(store) is None  # a build makes another one
    store.is_shared = True  # unless others have that one
    with pytest.raises(KeyElsewhere, match="is not on this machine"):
        find_own_key(store)


def test_an_old_one_moves_out_and_that_is_said(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    old = store.state / "key/melange.rsa"
    old.parent.mkdir()
    old.write_text("an old one")
    old.with_name("melange.rsa.pub").write_text("its public half")
    said: list[str] = []
    move_out(store, said.append)
    key = own_key(store, make_none)
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("an old one", 0o600)
    assert not old.exists()
    assert old.with_name("melange.rsa.pub").read_text() == "its public half"
    assert key.with_name("melange.rsa.pub").read_text() == "its public half"
    assert len(said) == 1
    assert f"lay in {old}, beside what is published" in said[0]
    move_out(store, pytest.fail)


def test_where_it_cannot_be_kept_that_is_said(tmp_path: Path, home: Path) -> None:
    home.write_text("this is no directory")
    with pytest.raises(InfrastructureError, match="cannot be kept"):
        own_key(opened(tmp_path / "store"), make)


class Unheard(DirectoryObjects):
    """Objects that are created, while the answers to that are lost."""

    def create(self, name: str, data: bytes) -> bool:
        super().create(name, data)
        return False


def test_a_lost_answer_does_not_make_it_the_key_of_somebody_else(
    tmp_path: Path, home: Path
) -> None:
    store = opened(tmp_path / "store")
    store.is_shared = True
    store.objects = Unheard(store.state, tmp_path / "lock")
    assert own_key(store, make).is_relative_to(home)
    store.objects.write(PUBLIC_OBJECT, b"somebody else's")
    with pytest.raises(UsageError, match="is not on this machine"):
        own_key(store, make_none)
