"""The files of a bare repository, read as they are: git would stumble over damaged ones."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from dag.core.limits import GIT_STATE
from dag.core.sources.checkouts import is_commit, is_ref
from dag.core.sources.gitstate import STATE, VerifiedState, parse
from dag.io import durable
from dag.io.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dag.io.sources.records import Records

_LINES = {
    "packed-refs": re.compile(rb"#.*|\^[0-9a-f]{40}|[0-9a-f]{40} refs/.+"),
    "shallow": re.compile(rb"[0-9a-f]{40}"),
}
"""The files of a repository that have lines, and what each line must be."""
_UNFINISHED = "tmp_"
"""How git begins the names of files that a transfer writes."""


class RepositoryFiles:
    """The files of one repository of the cache."""

    def __init__(self, directory: Path, records: Records, root: Path) -> None:
        """Take the repository, and the cache's directory, below which files are recorded."""
        self.directory = directory
        self._records = records
        self._root = root

    def read_state(self) -> VerifiedState:
        """Return what `dag.json` says was verified.

        Raises:
            OSError: it cannot be read.
            ValueError: it is none.

        """
        path = self.directory / STATE
        return parse(read_bytes(path, GIT_STATE)) if path.exists() else VerifiedState()

    def write_state(self, state: VerifiedState) -> None:
        """Write `dag.json`, if it says something else."""
        durable.write_changed(self.directory / STATE, state.text().encode())

    def are_readable(self, refs: Iterable[str]) -> bool:
        """Return whether the small files are what git expects, those of `refs` included.

        Raises:
            OSError: one cannot be read.
            ValueError: one is no text, or too large.

        """
        directory = self.directory
        if not all((directory / name).is_dir() for name in ("objects", "refs")):
            return False
        head = self._text("HEAD")
        branch = head.removeprefix("ref: ")
        if not is_commit(head) and (branch == head or not is_ref(branch)):
            return False
        for name, line in _LINES.items():
            if (directory / name).exists():
                lines = read_bytes(directory / name, GIT_STATE).splitlines()
                if not all(map(line.fullmatch, lines)):
                    return False
        # One that is gone is fetched again; one that is no hash would be in git's way.
        loose = [name for name in refs if name != "HEAD" and (directory / name).is_file()]
        return all(is_commit(self._text(name)) for name in loose)

    def resolve(self, ref: str) -> str | None:
        """Return what a ref's file says: git's own answer, without a process for each."""
        with suppress(OSError, ValueError):
            return self._text(ref)
        with suppress(OSError, ValueError):
            packed = read_bytes(self.directory / "packed-refs", GIT_STATE)
            for line in packed.splitlines():
                if line.endswith(f" {ref}".encode()):
                    return line.partition(b" ")[0].decode()
        return None

    def objects(self) -> Iterator[Path]:
        """Return the files that hold objects, but those that a transfer has not finished."""
        objects = self.directory / "objects"
        for parent, _, names in os.walk(objects):
            for name in sorted(names):
                if not name.startswith(_UNFINISHED):
                    yield type(objects)(parent) / name

    def are_vouched_for(self) -> bool:
        """Return whether every file that holds objects is as it was when it was verified."""
        return all(map(self._is_vouched_for, self.objects()))

    def record(self) -> int:
        """Note that the files that hold objects are verified, and return their size in bytes."""
        size = 0
        for path in self.objects():
            status = path.stat()
            size += status.st_size
            self._records.add(path.relative_to(self._root).as_posix(), status)
        return size

    def remove_unfinished(self) -> int:
        """Remove what broken transfers left; return the size of the largest file in bytes."""
        largest = 0
        for leftover in (self.directory / "objects" / "pack").glob(f"{_UNFINISHED}*"):
            largest = max(largest, leftover.stat().st_size)
            leftover.unlink()
        return largest

    def _is_vouched_for(self, path: Path) -> bool:
        with suppress(FileNotFoundError):
            return self._records.vouch(path.relative_to(self._root).as_posix(), path.stat())
        return False

    def _text(self, name: str) -> str:
        return read_bytes(self.directory / name, GIT_STATE).decode().strip()
