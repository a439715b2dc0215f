"""A file turns out to be something else."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from dag.core.limits import IGNORE_FILE, Limit, TooLarge
from dag.io.files import read_bytes, read_lines, read_named, read_text

LIMIT = Limit("a test's file", 10)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    assert read_bytes(path, LIMIT) == b"0123456789"
    path.write_bytes(b"0123456789a")
    with pytest.raises(TooLarge) as caught:
        read_bytes(path, LIMIT)
    assert caught.value.message == (
        f"{path} has more than 10 bytes, which is the limit of a test's file"
    )


def test_newlines_are_those_of_any_editor(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a\r\nb\rc\n")
    assert read_text(path, LIMIT) == "a\nb\nc\n"
    path.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text(path, LIMIT)
    assert read_text(path, LIMIT, errors="replace") == "\ufffd"


def test_a_link_to_endless_zeros_and_a_sparse_file_are_not_read_to_their_end(
    tmp_path: Path,
) -> None:
    zeros = tmp_path / "zeros"
    zeros.symlink_to("/dev/zero")
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(4 << 30)
    for path in (zeros, sparse):
        with pytest.raises(TooLarge, match="has more than 1 MiB"):
            read_bytes(path, IGNORE_FILE)
        with pytest.raises(TooLarge, match="has more than 1 MiB"):
            list(read_lines(path, IGNORE_FILE))


def test_nothing_is_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / ".dagignore"
    path.symlink_to(os.devnull)
    assert read_text(path, LIMIT) == ""


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="named pipe"):
        read_bytes(path, LIMIT)


def test_lines_of_a_file_that_is_large_itself(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"123\n" * 1_000_000 + b"end")
    lines = list(read_lines(path, LIMIT))
    assert (len(lines), lines[0], lines[-1]) == (1_000_001, b"123\n", b"end")


def test_a_pipe_that_somebody_has_named_is_read_once_and_remembered(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"12345")
    os.close(write)
    path = Path(f"/dev/fd/{read}")
    assert [read_named(path, LIMIT) for _ in range(2)] == [b"12345"] * 2
    os.close(read)
    named = tmp_path / "pipe"
    os.mkfifo(named)
    writer = threading.Thread(target=named.write_bytes, args=(b"later",))
    writer.start()
    assert read_named(named, LIMIT) == b"later"
    writer.join()


def test_a_pipe_without_an_end_is_read_up_to_the_limit() -> None:
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with pytest.raises(TooLarge):
            read_named(Path(f"/dev/fd/{process.stdout.fileno()}"), LIMIT)
        process.kill()
