"""The record of which files of the cache were verified, and as what."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dag.core.limits import RECORD
from dag.io import durable
from dag.io.files import read_bytes

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size, time and inode of a file: they tell whether it is still the one that was verified."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file, given its status."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class Records:
    """The stamps of verified files, by name: lines that are only ever appended."""

    def __init__(self, path: Path) -> None:
        """Read the records at `path`, if there are any.

        Raises:
            OSError: they cannot be read.
            TooLarge: they are more than anybody has.

        """
        self._path = path
        self._lock = threading.Lock()
        self._stamps: dict[str, Stamp] = {}
        lines = 0
        if path.is_symlink():  # it may lead anywhere, and is none of ours
            path.unlink()
        with suppress(FileNotFoundError):
            for line in read_bytes(path, RECORD).splitlines():
                lines += 1
                # A line may be half written, or by a later version: then it vouches for nothing.
                with suppress(ValueError, TypeError, OverflowError, RecursionError):
                    name, *numbers = json.loads(line)
                    self._stamps[str(name)] = Stamp(*map(int, numbers))
        if lines > 2 * len(self._stamps) + 1000:
            self._compact()

    def vouch(self, name: str, status: os.stat_result) -> bool:
        """Return whether the file is as it was when it was verified."""
        return self._stamps.get(name) == Stamp.of(status)

    def add(self, name: str, status: os.stat_result) -> None:
        """Note that the file was verified as it is now."""
        stamp = Stamp.of(status)
        with self._lock:
            if self._stamps.get(name) == stamp:
                return
            self._stamps[name] = stamp
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o644)
            try:
                os.write(descriptor, self._line(name, stamp))
            finally:
                os.close(descriptor)

    def _compact(self) -> None:
        lines = b"".join(self._line(*item) for item in self._stamps.items())
        # What is lost costs only another look at the files.
        durable.write(self._path, lines, lasting=False)

    @staticmethod
    def _line(name: str, stamp: Stamp) -> bytes:
        return json.dumps([name, stamp.size, stamp.mtime_ns, stamp.inode]).encode() + b"\n"
