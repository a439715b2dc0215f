"""The journal of a run: lines are only ever appended, and are on the disk before they matter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from dag.core.limits import JOURNAL_LINE
from dag.io.files import read_lines


class Journal:
    """A new journal to append to."""

    def __init__(self, path: Path) -> None:
        """Begin a journal at `path`, where there must be none yet."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)
        self._dirty = False

    def append(self, line: bytes) -> None:
        """Write a line, its end included; `sync` makes it last."""
        data = line
        while data:
            data = data[os.write(self._descriptor, data) :]
        self._dirty = True

    def sync(self) -> None:
        """Return when every line is on the disk."""
        if self._dirty:
            os.fdatasync(self._descriptor)
            self._dirty = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sync()
        os.close(self._descriptor)


def read_journal(path: Path) -> Iterator[bytes]:
    """Yield the lines of a journal; the last one may have no end.

    Raises:
        OSError: there is no journal, or it cannot be read.
        ValueError: one of its lines is too long.

    """
    return read_lines(path, JOURNAL_LINE)
