"""A file is there as a whole, or not at all."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from dag.io import durable


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, b"old")
    with durable.replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, b"old")

    def fail() -> None:
        with durable.replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_what_is_delivered_leaves_links_and_pipes_in_their_places(tmp_path: Path) -> None:
    link, file, pipe = (tmp_path / name for name in ("link", "file", "pipe"))
    link.symlink_to("file")
    for text in (b"first", b"second"):
        durable.deliver(link, text)
        assert file.read_bytes() == text
    assert link.is_symlink()
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    durable.deliver(pipe, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()
    assert names(tmp_path) == ["file", "link", "pipe"]


def test_what_cannot_be_delivered_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("no/file")
    for path in (tmp_path / "no" / "file", tmp_path / "link"):
        with pytest.raises(FileNotFoundError) as error:
            durable.deliver(path, b"text")
        assert error.value.filename == str(path)


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EACCES])
def test_what_cannot_be_replaced_is_written_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"longer than what comes")
    path.chmod(0o600)
    durable.deliver(path, b"text")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"text", 0o600)

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "replace", refuse)
    durable.deliver(path, b"more")
    assert (path.read_bytes(), names(tmp_path)) == (b"more", ["file"])
    with pytest.raises(OSError, match=os.strerror(code)):
        durable.deliver(tmp_path / "new", b"text")


def test_many_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "file"
    texts = [bytes([n]) * 100_000 for n in range(8)]
    threads = [threading.Thread(target=durable.write, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in texts
    assert names(tmp_path) == ["file"]


def test_it_is_on_the_disk_before_it_has_its_name_and_the_name_is_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    seen: list[tuple[bool, bool]] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        directory = os.path.samestat(os.fstat(descriptor), tmp_path.stat())
        seen.append((directory, path.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    durable.write(path, b"x")
    assert seen == [(False, False), (True, True)]
    durable.write(path, b"y", lasting=False)
    assert len(seen) == 2


def test_a_file_that_is_the_same_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write_changed(path, b"one")
    inode = path.stat().st_ino
    durable.write_changed(path, b"one")
    assert path.stat().st_ino == inode
    durable.write_changed(path, b"two")
    assert path.read_bytes() == b"two"


def test_a_file_is_placed_under_a_second_name(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x")
    target.write_bytes(b"old")
    durable.place(source, target)
    durable.place(source, target)
    assert target.read_bytes() == source.read_bytes() == b"x"
    assert names(tmp_path) == ["source", "target"]


def test_where_there_are_no_links_it_is_copied_but_no_other_error_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x")
    code = errno.EXDEV

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    durable.place(source, target)
    assert target.read_bytes() == b"x"
    code = errno.EACCES
    with pytest.raises(PermissionError):
        durable.place(source, target)
    assert names(tmp_path) == ["source", "target"]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, b"one")
    durable.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
