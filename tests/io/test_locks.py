"""Locks between processes, which are released when their holder ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dag.io.locks import lock, read_holder, try_lock, wait_for_lock

HOLD = """
import sys
from pathlib import Path
from dag.io.locks import try_lock
held = try_lock(Path(sys.argv[1]))
held.sign()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()
        process.communicate()


def test_the_kernel_lets_go_when_the_holder_dies(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert read_holder(path) is None
    with other_process(path) as process:
        assert try_lock(path) is None
        holder = read_holder(path)
        assert holder is not None
        assert holder.pid == process.pid
        assert f"process {process.pid} on " in str(holder)
    assert read_holder(path) is None
    with lock(path) as held:
        held.sign()
        assert try_lock(path) is None
        assert str(os.getpid()) in path.read_text()
    again = try_lock(path)
    assert again is not None
    again.release()
    again.release()


def test_a_holder_that_says_nothing_or_nonsense_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    late = '{"pid": 7, "host": "h", "since": 1e32, "command": "c"}'
    for text in ("", "{", "[]", '{"pid": "x"}', "[" * 100_000, late):
        with lock(path):
            path.write_text(text)
            assert str(read_holder(path)) == "another process, which has not said who it is yet"


def test_whoever_waits_gets_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    taken = threading.Event()

    def wait() -> None:
        with lock(path):
            taken.set()

    with other_process(path) as process:
        thread = threading.Thread(target=wait)
        thread.start()
        assert not taken.is_set()
        process.kill()
        assert taken.wait(20)
        thread.join()


async def test_tasks_go_on_while_one_waits(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = await wait_for_lock(path)
    waiting = [asyncio.create_task(wait_for_lock(path)) for _ in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    held.release()
    for _ in waiting:
        done, _ = await asyncio.wait(
            [task for task in waiting if not task.done() or task.result().descriptor >= 0],
            timeout=20,
            return_when=asyncio.FIRST_COMPLETED,
        )
        (task,) = done
        assert try_lock(path) is None
        task.result().release()


async def test_whoever_waits_no_more_does_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = await wait_for_lock(path)
    task = asyncio.create_task(wait_for_lock(path))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    held.release()
    (await asyncio.wait_for(wait_for_lock(path), 20)).release()


def test_a_process_whose_loop_is_closed_leaves_although_it_waited(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waits = """
import asyncio, sys
from pathlib import Path
from dag.io.locks import wait_for_lock

async def main():
    task = asyncio.create_task(wait_for_lock(Path(sys.argv[1])))
    await asyncio.sleep(0)
    task.cancel()

asyncio.run(main())
"""
    with lock(path):
        subprocess.run([sys.executable, "-c", waits, str(path)], check=True, timeout=60)


async def test_a_lock_that_cannot_be_taken_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere" / "lock", tmp_path):
        for take in (try_lock, lock):
            with pytest.raises(OSError, match=str(tmp_path)):
                take(path)
        with pytest.raises(OSError, match=str(tmp_path)):
            await wait_for_lock(path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="no ordinary file"):
        try_lock(pipe)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        try_lock(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_was_replaced_while_one_waited_is_locked_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = lock(path)
    found: list[int] = []

    def wait() -> None:
        with lock(path) as mine:
            found.append(os.fstat(mine.descriptor).st_ino)

    thread = threading.Thread(target=wait)
    thread.start()
    path.rename(tmp_path / "finished")
    path.write_text("new")
    held.release()
    thread.join(20)
    assert found == [path.stat().st_ino]
