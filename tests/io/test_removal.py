"""Whatever a build leaves is removed, by root and by others."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from dag.io.removal import Trash, remove


def test_a_tree_whose_directories_have_no_rights_is_removed(tmp_path: Path) -> None:
    inner = tmp_path / "place/a/b"
    inner.mkdir(parents=True)
    (inner / "file").touch(0o000)
    for path in (inner, inner.parent, tmp_path / "place"):
        path.chmod(0)
    remove(tmp_path / "place")
    assert list(tmp_path.iterdir()) == []


def test_a_tree_deeper_than_paths_and_descriptors_reach_is_removed(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    here = os.open(tmp_path / "place", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 20, dir_fd=here)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove(tmp_path / "place")
    assert list(tmp_path.iterdir()) == []


def test_what_is_on_another_file_system_is_removed_too(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        assert Path(memory).stat().st_dev != tmp_path.stat().st_dev
        place = Path(memory) / "place"
        (place / "a").mkdir(parents=True)
        (place / "a").chmod(0)
        trash = Trash(tmp_path / "trash")
        trash.take(place)
        assert list(Path(memory).iterdir()) == []
        trash.empty()


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(0o750)
    (kept / "file").write_text("mine")
    place = tmp_path / "place"
    place.mkdir()
    (place / "directory").symlink_to(kept)
    (place / "file").symlink_to(kept / "file")
    (place / "nowhere").symlink_to("/nonexistent")
    os.mkfifo(place / "pipe")
    remove(place)
    (tmp_path / "link").symlink_to(kept)
    remove(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (kept / "file").read_text() == "mine"
    assert kept.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("name", ["missing", "a/missing"])
def test_what_is_not_there_is_no_error(tmp_path: Path, name: str) -> None:
    remove(tmp_path / name)


@pytest.mark.long
def test_a_directory_of_many_files_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    for number in range(3000):
        (place / f"{number}").touch()
    remove(place)
    assert list(tmp_path.iterdir()) == []


def litter(place: Path) -> None:
    for number in range(40):
        (place / f"{number}/a/b").mkdir(parents=True)
        (place / f"{number}/a/b/file").touch()


def test_trash_is_emptied_beside_other_work(tmp_path: Path) -> None:
    litter(tmp_path / "left")
    trash = Trash(tmp_path / "trash")
    trash.take(tmp_path / "left")
    (tmp_path / "file").touch()
    trash.take(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["trash"]
    assert len(list(trash.directory.iterdir())) == 2
    with Trash(tmp_path / "trash").emptied_meanwhile(print):
        pass
    assert list(trash.directory.iterdir()) == []


def test_work_that_is_broken_off_waits_for_nothing_and_the_next_goes_on(tmp_path: Path) -> None:
    litter(tmp_path / "left")
    trash = Trash(tmp_path / "trash")
    trash.take(tmp_path / "left")
    with pytest.raises(KeyboardInterrupt), trash.emptied_meanwhile(print):
        raise KeyboardInterrupt
    with Trash(tmp_path / "trash").emptied_meanwhile(print):
        pass
    assert list(trash.directory.iterdir()) == []


def test_what_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    litter(tmp_path / "left")
    trash = Trash(tmp_path / "trash")
    trash.take(tmp_path / "left")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    said: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr("os.unlink", refuse)
        with trash.emptied_meanwhile(said.append):
            pass
    (line,) = said
    assert line.startswith(
        f"what an earlier build has left in {trash.directory} cannot be removed:"
    )
    assert line.endswith("Permission denied")
