"""Objects as files below a directory, on a disk of this machine or on one that several mount.

Whoever creates one never overwrites another, so several writers need no lock for that. A change with
a condition is made under a lock of the kernel, which holds between machines, too.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import contextmanager, suppress
from itertools import chain, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from dag.io import durable
from dag.io.durable import TEMPORARY
from dag.io.files import read_bytes, require_file
from dag.io.locks import lock
from dag.io.package.prover import copy_bytes
from dag.io.removal import remove
from dag.io.store.objects import ObjectFacts, Objects, StoredObject, check_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dag.core.limits import Limit


class DirectoryObjects(Objects):
    """Objects that are files below a directory, which several machines may have mounted."""

    def __init__(self, root: Path, lock: Path) -> None:
        """Use a directory, which may not be there yet, and the file whose lock guards changes."""
        self._root = root
        self._lock = lock

    def address(self, name: str) -> str:
        """Return the path of an object's file."""
        return str(self.path(name))

    def path(self, name: str) -> Path:
        """Return the path of an object's file."""
        return self._root / check_key(name)

    def require_conditions(self, name: str, data: bytes) -> None:
        """Do nothing: here conditions go by a lock of ours."""

    def list(self, folder: str) -> Iterator[ObjectFacts]:
        """Yield the objects below a folder, in any order; none if there is no such folder."""
        folders = [folder]  # whoever can write there may make any number of them in each other
        while folders:
            below = folders.pop()
            try:
                with os.scandir(self.path(below)) as found:
                    entries = [*found]
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                name = f"{below}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif not entry.name.startswith(TEMPORARY) and (one := self.look(name)) is not None:
                    yield one

    def folders(self, folder: str) -> Iterator[str]:
        """Yield the names of the folders in a folder, each without what leads to it."""
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(self.path(folder)) as found,
        ):
            yield from [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]

    def look(self, name: str) -> ObjectFacts | None:
        """Return what is known of an object; None if there is none."""
        return _facts(name, self.path(name))

    def read(self, name: str, limit: Limit) -> StoredObject | None:
        """Return an object, or None if there is none."""
        try:
            data = read_bytes(self.path(name), limit)
        except FileNotFoundError:
            return None
        return StoredObject(data, hashlib.sha256(data).hexdigest())

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one; return whether it was written."""
        return durable.create(self._made(name), lambda file: _write(file, data))

    def create_from(self, name: str, source: int, *, begin: int = 0) -> bool:
        """Write an object from an open file's bytes from `begin` on, unless there is one."""
        return durable.create(self._made(name), lambda file: copy_bytes(source, file, begin=begin))

    def replace(self, name: str, data: bytes, version: str) -> bool:
        """Write an object if it is still of this version; return whether it was written."""
        with lock(self._lock):
            try:
                with self.path(name).open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                return False
            if found == version:
                self.write(name, data)
            return found == version

    def write(self, name: str, data: bytes) -> None:
        """Write an object, whatever is there."""
        durable.write(self._made(name), data)

    def upload(self, name: str, path: Path) -> None:
        """Write an object from a file, which it may share with it from then on."""
        target = self._made(name)
        durable.place(path, target)
        durable.sync(target.parent)

    def download(self, name: str, path: Path, limit: Limit) -> bool:
        """Write an object to a file; return whether there is such an object."""
        with self.opened(name, limit) as source:
            if source is None:
                return False
            with path.open("wb", buffering=0) as target:
                copy_bytes(source, target.fileno())
        return True

    @contextmanager
    def opened(self, name: str, limit: Limit) -> Iterator[int | None]:
        """Open an object's file; None if there is none.

        Raises:
            OSError: there is something else than a file.

        """
        path = self.path(name)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            yield None
            return
        try:
            status = os.fstat(file)
            require_file(path, status)
            limit.check(status.st_size, self.address(name))
            yield file
        finally:
            os.close(file)

    def renew(self, name: str) -> bool:
        """Let an object count as just written; return False if there is none."""
        try:
            os.utime(self.path(name))
        except FileNotFoundError:
            return False
        return True

    def delete(self, name: str) -> None:
        """Delete an object; there need not be one."""
        remove(self.path(name))

    def delete_older(self, name: str, seconds: float) -> bool:
        """Delete an object unless it was written or renewed in so many seconds; return whether."""
        path = self.path(name)
        aside = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return False
        try:
            # From here on nobody can renew it; whoever wants to creates it anew.
            found = _facts(name, aside)
            if found is not None and found.age > seconds:
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

    def remove_folder(self, folder: str) -> None:
        """Remove a folder, if there is nothing in it."""
        with suppress(OSError):
            self.path(folder).rmdir()

    def clear_temporary(self, *below: str) -> None:
        """Remove what dead writers left below some folders.

        If a writer on another machine is alive, it fails and has to try again.
        """
        for folder, _, files in chain.from_iterable(os.walk(self._root / one) for one in below):
            for file in files:
                if file.startswith(TEMPORARY):
                    Path(folder, file).unlink(missing_ok=True)

    def _made(self, name: str) -> Path:
        path = self.path(name)
        missing = [*takewhile(lambda folder: not folder.exists(), path.parents)]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            durable.sync(folder.parent)
        return path


def _facts(name: str, path: Path) -> ObjectFacts | None:
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return ObjectFacts(name, status.st_size, time.time() - status.st_mtime)


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
