"""The journal of a run: lines are only ever appended, and are on the disk before they matter."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from dag.core.build.journal import Line
from dag.core.limits import JOURNAL_LINE
from dag.io.files import read_lines


class Journal:
    """Appends to a new journal; the one of the run before is kept beside it as `NAME.old`."""

    def __init__(self, path: Path) -> None:
        """Begin a new journal at `path`."""
        self.path = path
        if path.exists():
            path.replace(path.with_name(f"{path.name}.old"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)
        self._dirty = False

    def append(self, line: Line) -> None:
        """Write a line; `sync` makes it last."""
        data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sync()
        os.close(self._descriptor)


def read_journal(path: Path) -> Iterator[Line]:
    """Read the lines of a journal; a last one that was never finished is left out.

    Raises:
        OSError: there is no journal, or it cannot be read.
        ValueError: a line in the middle is damaged.

    """
    torn: Exception | None = None
    for data in read_lines(path, JOURNAL_LINE):
        if torn is not None:
            raise ValueError(f"a line in the middle is none: {torn}")
        try:
            line = json.loads(data)
        except ValueError as error:
            torn = error
            continue
        if not isinstance(line, dict) or not data.endswith(b"\n"):
            torn = ValueError("no object, or no end of line")
            continue
        yield line
