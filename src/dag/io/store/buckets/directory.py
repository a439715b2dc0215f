"""A directory as a store of objects: a disk of this machine, or a volume that several share."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dag.io import durable
from dag.io.files import read_bytes
from dag.io.locks import lock
from dag.io.store.buckets.objects import StoredObject, StoreError, check_key

if TYPE_CHECKING:
    from dag.core.limits import Limit

_LOCK = ".lock"


class DirectoryStore:
    """The files below a directory. A conditional write holds a lock of the kernel meanwhile."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, key: str, limit: Limit) -> StoredObject | None:
        """Return an object, or None if there is none."""
        with self._explained(key):
            try:
                data = read_bytes(self._path(key), limit)
            except FileNotFoundError:
                return None
            return StoredObject(data, hashlib.sha256(data).hexdigest())

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; return whether it was written."""
        path = self._path(key)
        with self._explained(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            with lock(self._directory / _LOCK):
                if path.exists():
                    return False
                durable.write(path, data)
                return True

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Write an object if it is still of this version; return whether it was written."""
        path = self._path(key)
        with self._explained(key), lock(self._directory / _LOCK):
            try:
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                return False
            if found != version:
                return False
            durable.write(path, data)
            return True

    def upload(self, key: str, path: Path) -> None:
        """Write an object from a file, whatever is there."""
        target = self._path(key)
        with self._explained(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as source, durable.replacing(target) as file:
                shutil.copyfileobj(source, file, 1 << 20)

    def download(self, key: str, path: Path, limit: Limit) -> bool:
        """Write an object to a new file; return whether there is such an object."""
        try:
            source = self._path(key).open("rb")
        except FileNotFoundError:
            return False
        with source, durable.replacing(path, lasting=False) as file:
            limit.check(os.fstat(source.fileno()).st_size, key)
            shutil.copyfileobj(source, file, 1 << 20)
        return True

    def list(self, folder: str) -> Iterator[str]:
        """Return the keys of all objects below a folder, in any order."""
        for directory, _, names in os.walk(self._path(folder)):
            for name in names:
                if name != _LOCK and not name.startswith(durable.TEMPORARY):
                    yield (Path(directory) / name).relative_to(self._directory).as_posix()

    def delete(self, key: str) -> None:
        """Delete an object; there need not be one."""
        with self._explained(key):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._directory / check_key(key)

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self._directory / key
            raise StoreError(f"{where}: {error.strerror}") from error
