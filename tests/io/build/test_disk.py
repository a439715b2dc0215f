"""Whether a disk was full while something ran, asked of the disk itself."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dag.io.build.disk import DiskWatch, free_bytes

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Return a function that mounts a file system in memory with some options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mounted(options: str) -> Path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
        return place

    yield mounted
    subprocess.run(["umount", place], check=True)


async def test_a_disk_that_was_full_for_a_moment_was_full(mount: Mount) -> None:
    disk = mount("size=100m")
    async with DiskWatch(disk / "nothing", disk) as watch:
        assert not watch.was_full
        # Whoever fails for want of space takes away what is written, and then exits.
        script = f"! head -c 200M /dev/zero >{disk}/x && sleep 0.2 && rm {disk}/x && true"
        done = await _run(script)
    assert done == 0
    assert free_bytes(disk) == 100 << 20
    assert watch.was_full


async def test_a_disk_that_takes_no_more_files_is_full(mount: Mount) -> None:
    disk = mount("size=8m,nr_inodes=3")
    for name in "ab":
        (disk / name).touch()
    async with DiskWatch(disk) as watch:
        pass
    assert free_bytes(disk) == 0
    assert watch.was_full


async def test_a_disk_with_room_is_not_full_whatever_is_said(mount: Mount) -> None:
    async with DiskWatch(mount("size=100m")) as watch:
        assert await _run("echo no space left on device; false") == 1
    assert not watch.was_full


async def _run(script: str) -> int:
    process = await asyncio.create_subprocess_shell(script)
    return await process.wait()
