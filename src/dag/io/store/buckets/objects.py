"""Objects in a bucket or below a directory, and writes that happen only if nobody else wrote.

Every kind of store has the same few operations. A write has a condition: that there is no such object
yet, or that it is still the one that was read. So of several writers at once one wins, the others are
told, and no lock is needed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from dag.errors import InfrastructureError

if TYPE_CHECKING:
    from dag.core.limits import Limit

_CONTENTION = 600.0
"""Seconds for which an object is tried to be changed that others change, too."""


class StoreError(InfrastructureError):
    """A store cannot be reached, or refuses."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was read, and what tells this version of it from any other."""

    data: bytes
    version: str
    """A generation or an ETag; only the store it is from knows what it means."""


class ObjectStore(Protocol):
    """The objects of a bucket, or of a folder in one; a key is a relative path.

    Every method raises `StoreError` if the store fails or refuses.
    """

    def read(self, key: str, limit: Limit) -> StoredObject | None:
        """Return an object, or None if there is none.

        Raises:
            TooLarge: it has more bytes than the limit.

        """
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; return whether it was written."""
        ...

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Write an object if it is still of this version; return whether it was written."""
        ...

    def upload(self, key: str, path: Path) -> None:
        """Write an object from a file, whatever is there."""
        ...

    def download(self, key: str, path: Path, limit: Limit) -> bool:
        """Write an object to a new file; return whether there is such an object.

        Raises:
            TooLarge: it has more bytes than the limit.
            OSError: the file cannot be written.

        """
        ...

    def list(self, folder: str) -> Iterator[str]:
        """Return the keys of all objects below a folder, in any order; none if there is no bucket."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; there need not be one."""
        ...


def update(
    store: ObjectStore,
    key: str,
    limit: Limit,
    change: Callable[[bytes | None], bytes],
    *,
    patience: float = _CONTENTION,
) -> None:
    """Replace an object by what `change` makes of it, however many others do so at the same time.

    `change` may be called several times, with what is there by then; None is nothing.

    Raises:
        StoreError: the store fails, or others were always faster for `patience` seconds.
        TooLarge: the object has more bytes than the limit.

    """
    deadline = time.monotonic() + patience
    wait = 0.05
    while True:
        found = store.read(key, limit)
        data = change(found.data if found is not None else None)
        if found is None:
            written = store.create(key, data)
        else:
            written = found.data == data or store.replace(key, data, found.version)
        if written:
            return
        if time.monotonic() > deadline:
            raise StoreError(
                f"{key} could not be changed for {patience:g} s, because others change it all the time"
            )
        # Each takes another time, so that they do not meet again.
        time.sleep(random.uniform(0, wait))  # noqa: S311  # no secret
        wait = min(2 * wait, 5.0)


def check_key(key: str) -> str:
    """Return a key, once it is sure that it leads nowhere else.

    Raises:
        StoreError: it does.

    """
    parts = key.split("/")
    if not key or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise StoreError(f"{key!r} is no name of an object")
    return str(PurePosixPath(key))
