"""What a store keeps, by name, as files below a directory.

An object is there as a whole or not at all. Whoever creates one never overwrites another, so two
writers need no lock.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dag.io import durable
from dag.io.durable import TEMPORARY
from dag.io.files import read_bytes
from dag.io.package.prover import copy_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dag.core.limits import Limit


class DirectoryObjects:
    """Objects that are files below a directory."""

    def __init__(self, root: Path) -> None:
        """Use a directory, which may not be there yet."""
        self._root = root

    def names(self, below: str) -> Iterator[str]:
        """Yield the names below a folder, sorted; none if there is no such folder."""
        with suppress(FileNotFoundError, NotADirectoryError):
            with os.scandir(self._root / below) as found:
                entries = sorted(found, key=lambda entry: entry.name)
            for entry in entries:
                name = f"{below}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    yield from self.names(name)
                elif not entry.name.startswith(TEMPORARY):
                    yield name

    def read(self, name: str, limit: Limit) -> bytes:
        """Return an object's bytes.

        Raises:
            FileNotFoundError: it is not there.
            TooLarge: it is over the limit.

        """
        return read_bytes(self._root / name, limit)

    def fetch(self, name: str, target: int) -> None:
        """Copy an object to the end of an open file.

        Raises:
            FileNotFoundError: it is not there.

        """
        source = os.open(self._root / name, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            copy_bytes(source, target)
        finally:
            os.close(source)

    def create(self, name: str, data: bytes) -> bool:
        """Create an object; return False, and change nothing, if it is there already."""
        return durable.create(self._made(name), lambda file: _write(file, data))

    def create_from(self, name: str, source: int, *, begin: int = 0) -> bool:
        """Create an object from an open file's bytes from `begin` on; see `create`."""
        return durable.create(self._made(name), lambda file: copy_bytes(source, file, begin=begin))

    def replace(self, name: str, data: bytes) -> None:
        """Create or replace an object."""
        durable.write(self._made(name), data)

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        (self._root / name).unlink(missing_ok=True)

    def renew(self, name: str) -> bool:
        """Let an object count as just written; return False if it is not there."""
        try:
            os.utime(self._root / name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int | None:
        """Return the bytes of an object's file; None if it is not there."""
        try:
            return (self._root / name).stat().st_size
        except FileNotFoundError:
            return None

    def age(self, name: str) -> float | None:
        """Return the seconds since an object was written or renewed; None if it is not there."""
        return _age(self._root / name)

    def remove_older(self, name: str, seconds: float) -> bool:
        """Remove an object unless it was written or renewed in so many seconds; return whether."""
        path = self._root / name
        aside = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return False
        try:
            # From here on nobody can renew it; whoever wants to creates it anew.
            age = _age(aside)
            if age is not None and age > seconds:
                return True
            try:
                os.link(aside, path)
            except FileExistsError:
                pass  # somebody created it meanwhile
            except OSError:
                aside.replace(path)  # there are no links here
            return False
        finally:
            aside.unlink(missing_ok=True)

    def remove_empty(self, below: str) -> None:
        """Remove a folder and those below it, as far as there is nothing in them."""
        for folder, _, _ in os.walk(self._root / below, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()

    def path(self, name: str) -> Path:
        """Return the path of an object's file."""
        return self._root / name

    def clear_temporary(self, *below: str) -> None:
        """Remove what dead writers left below some folders; no other writer may be alive."""
        for folder, _, files in chain.from_iterable(os.walk(self._root / one) for one in below):
            for file in files:
                if file.startswith(TEMPORARY):
                    Path(folder, file).unlink(missing_ok=True)

    def _made(self, name: str) -> Path:
        path = self._root / name
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            durable.sync(folder.parent)
        return path


def _age(path: Path) -> float | None:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
