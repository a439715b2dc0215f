"""The end of a build is seen through a pipe, whatever ends the build."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from dag.errors import InfrastructureError
from dag.io.agent.signals import await_end, await_start, make_pipe


def build(pipe: Path, *lines: str) -> subprocess.Popen[bytes]:
    """Start a process that opens the pipe as the build script does, and then runs `lines`."""
    script = "\n".join((f"exec 9>{pipe}", "echo started >&9", *lines))
    return subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE)


@pytest.mark.parametrize("end", ["exit 0", "kill -9 $$", "exit 3"])
def test_the_end_is_seen_however_it_comes(tmp_path: Path, end: str) -> None:
    pipe = tmp_path / "ended"
    make_pipe(pipe)
    process = build(pipe, "read line", end)
    descriptor = await_start(pipe)
    seen = threading.Event()

    def watch() -> None:
        await_end(descriptor)
        seen.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert process.poll() is None
    assert not seen.is_set()
    process.communicate(b"go\n")
    watcher.join(30)
    assert seen.is_set()


def test_a_build_that_is_quick_is_not_missed(tmp_path: Path) -> None:
    pipe = tmp_path / "ended"
    make_pipe(pipe)
    process = build(pipe)  # which waits until somebody reads
    await_end(await_start(pipe))
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_what_a_build_writes_more_is_forgotten(tmp_path: Path) -> None:
    pipe = tmp_path / "ended"
    make_pipe(pipe)
    process = build(pipe, "head -c 3000000 /dev/zero >&9")
    await_end(await_start(pipe))
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_neither_a_link_nor_a_file_is_taken_for_the_pipe(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("started\n")
    (tmp_path / "ended").symlink_to("real")
    with pytest.raises(InfrastructureError, match="ended cannot be opened"):
        await_start(tmp_path / "ended")
    with pytest.raises(InfrastructureError, match="real is no pipe"):
        await_start(tmp_path / "real")


def test_an_end_without_a_start_is_an_error(tmp_path: Path) -> None:
    pipe = tmp_path / "ended"
    make_pipe(pipe)
    opened = threading.Thread(target=lambda: os.close(os.open(pipe, os.O_WRONLY)))
    opened.start()
    with pytest.raises(InfrastructureError, match="ended before it began"):
        await_start(pipe)
    opened.join(30)


@pytest.mark.parametrize(("script", "code"), [("echo exit 2 >&9", 2), ("kill -9 $$", None)])
def test_the_exit_code_is_what_the_build_said_last(
    tmp_path: Path, script: str, code: int | None
) -> None:
    pipe = tmp_path / "ended"
    make_pipe(pipe)
    process = build(pipe, "echo exit 0 and more >&9", script)
    assert await_end(await_start(pipe)) == code
    process.communicate(timeout=30)
