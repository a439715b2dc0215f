"""What builds have to do with their disks: whether one was full, and where workspaces are on it.

The disk is asked whether it was full, not what somebody wrote of that.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

_ROOM = 64 << 20
"""Bytes; with less, a file may be refused that is larger than what is left: a compiler's, say."""
_FASTEST = 4e9
"""Bytes a second; no disk is filled faster, so it need not be looked at more often than that."""
_SHORTEST, _LONGEST = 0.02, 1.0
"""Seconds between two looks."""
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
"""FS_IOC_GETFLAGS and FS_IOC_SETFLAGS of Linux on 64 bits; elsewhere the kernel knows no such call."""
_UNRELATED = 0x00020000
"""EXT4_TOPDIR_FL: what is in this directory has nothing to do with each other."""


class DiskWatch:
    """A look, again and again while it is entered, at the disks that some directories are on.

    Programs that fail for want of space remove what they have written: afterwards there is room.
    """

    def __init__(self, *places: Path) -> None:
        self._places = places
        self._task: asyncio.Task[None] | None = None
        self.was_full = False
        """Whether one of the disks had no room at any time."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
        self._look()

    async def _watch(self) -> None:
        free = self._look()
        while not self.was_full:
            await asyncio.sleep(min(_LONGEST, max(_SHORTEST, free / _FASTEST)))
            free = self._look()

    def _look(self) -> int:
        """Return how many bytes the fullest disk still takes."""
        free = [room for place in self._places if (room := free_bytes(place)) is not None]
        self.was_full |= any(room < _ROOM for room in free)
        return min(free, default=0)


def free_bytes(place: Path) -> int | None:
    """Return how many bytes of files a directory's disk still takes; None if it does not say.

    That is 0, too, if it takes no more files. Quotas of a directory count where the disk tells them.
    """
    with suppress(OSError):
        found = os.statvfs(place)
        if found.f_files and not (found.f_favail if os.geteuid() else found.f_ffree):
            return 0
        return (found.f_bavail if os.geteuid() else found.f_bfree) * found.f_frsize
    return None


def spread(directory: Path) -> None:
    """Have the disk put each directory that is made in this one elsewhere, as `chattr +T` does.

    Else ext4 puts them all where the first one is. Without a journal it passes by every file that
    was removed there in the last minutes when it makes one, and each unit removes thousands. A file
    system that has no such flag goes on as it does.
    """
    with suppress(OSError):
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            (flags,) = struct.unpack("i", fcntl.ioctl(opened, _GET_FLAGS, bytes(4)))
            fcntl.ioctl(opened, _SET_FLAGS, struct.pack("i", flags | _UNRELATED))
        finally:
            os.close(opened)
