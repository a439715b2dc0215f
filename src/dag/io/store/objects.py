"""Objects in a bucket or below a directory, and writes that happen only if nobody else wrote.

Every kind of store has the same few operations. A write has a condition: that there is no such object
yet, or that it is still the one that was read. So of several writers at once one wins, the others are
told, and no lock is needed.
"""

from __future__ import annotations

import random
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from msgspec import Struct

from dag.core.decoding import Undecodable
from dag.core.limits import TooLarge
from dag.errors import InfrastructureError
from dag.io.retries import RetryPolicy, retry

if TYPE_CHECKING:
    from dag.core.limits import Limit

T = TypeVar("T")

_PATIENCE = RetryPolicy()
_CONTENTION = 600.0
"""Seconds for which an object is tried to be changed that others change, too."""
_UNCHANGED = 8
"""How often in a row an object may be refused to be changed and still be the same."""


HINT = (
    "may they read and write there whose credentials the environment has? In a pod these are those of "
    "its service account, or of --bucket-secret"
)
CONDITIONS_HINT = (
    "a store needs a server that knows writes with conditions (If-Match, If-None-Match)"
)


class StoreError(InfrastructureError):
    """A store cannot be reached, or refuses."""

    lasts: bool = False
    """Whether it would be the same later, or has been tried for long enough."""


class StoredObject(Struct, frozen=True):
    """An object as it was read, and what tells this version of it from any other."""

    data: bytes
    version: str
    """A generation or an ETag; only the store it is from knows what it means."""


class ObjectFacts(Struct, frozen=True):
    """What is known of an object without reading it."""

    name: str
    size: int
    """In bytes."""
    age: float
    """The seconds since it was written or renewed."""


class Objects(ABC):
    """The objects in a bucket or a directory, or in a folder of it; a name is a relative path.

    An object is there as a whole or not at all. Every method raises `StoreError`, or `OSError` for
    files, if the store fails or refuses.
    """

    at_once: ClassVar[int] = 1
    """How many objects are best asked for at the same time."""
    no_version: ClassVar[str] = ""
    """A version that no object has, where a server compares them."""

    @abstractmethod
    def address(self, name: str) -> str:
        """Return the path or the URL of an object, for messages."""

    @abstractmethod
    def read(self, name: str, limit: Limit) -> StoredObject | None:
        """Return an object, or None if there is none.

        Raises:
            TooLarge: it has more bytes than the limit.

        """

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one; return whether it was written."""

    @abstractmethod
    def create_from(self, name: str, source: int, *, begin: int = 0) -> bool:
        """Write an object from an open file's bytes from `begin` on, unless there is one."""

    @abstractmethod
    def replace(self, name: str, data: bytes, version: str) -> bool:
        """Write an object if it is still of this version; return whether it was written."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write an object, whatever is there."""

    @abstractmethod
    def upload(self, name: str, path: Path) -> None:
        """Write an object from a file that nobody changes any more, whatever is there."""

    @abstractmethod
    def download(self, name: str, path: Path, limit: Limit) -> bool:
        """Write an object to a file; return whether there is such an object.

        Raises:
            TooLarge: it has more bytes than the limit.
            OSError: the file cannot be written.

        """

    @abstractmethod
    def list(self, folder: str) -> Iterator[ObjectFacts]:
        """Yield all objects below a folder, in any order; none if there is no bucket."""

    @abstractmethod
    def folders(self, folder: str) -> Iterator[str]:
        """Yield the names of the folders in a folder, each without what leads to it, in any order."""

    @abstractmethod
    def look(self, name: str) -> ObjectFacts | None:
        """Return what is known of an object; None if there is none."""

    @abstractmethod
    def renew(self, name: str) -> bool:
        """Let an object count as just written; return False if there is none."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete an object; there need not be one."""

    @abstractmethod
    def delete_older(self, name: str, seconds: float) -> bool:
        """Delete an object unless it was written or renewed in so many seconds; return whether."""

    def require_conditions(self, name: str, data: bytes) -> None:
        """Try on an object that has these bytes whether the conditions of writes count.

        Many servers speak like those of the clouds, and some pass over headers that they do not know.

        Raises:
            StoreError: they do not.

        """
        passed_over = ""
        if self.create(name, data):
            passed_over = "If-None-Match"
        elif self.replace(name, data, self.no_version):
            passed_over = "If-Match"
        if passed_over:
            error = StoreError(
                f"{self.address(name)}: the server passes over the condition of a write ({passed_over}),"
                " so that two who write at once would undo what the other has done",
                hint=f"{CONDITIONS_HINT}: is there a newer version of that server? Else name another store",
            )
            error.lasts = True
            raise error

    @contextmanager
    def opened(self, name: str, limit: Limit) -> Iterator[int | None]:
        """Open an object's bytes as a file; None if there is none.

        Raises:
            TooLarge: it has more bytes than the limit.

        """
        with tempfile.TemporaryDirectory(prefix="dag-") as place:
            copy = Path(place, "object")
            if not self.download(name, copy, limit):
                yield None
                return
            with copy.open("rb", buffering=0) as file:
                yield file.fileno()

    def names(self, folder: str) -> Iterator[str]:
        """Yield the names of all objects below a folder, sorted."""
        yield from sorted(one.name for one in self.list(folder))


@dataclass(frozen=True, slots=True)
class BucketObjects:
    """The objects of a store that is in a bucket."""

    url: str
    files: Objects
    """What is published, by architecture."""
    state: Objects
    """What the store keeps for itself."""
    keeps_copies: bool = field(default=True, kw_only=True)
    """Whether packages from there are kept here, so that each comes once."""


def read_each(
    objects: Objects, names: Iterable[str], limit: Limit, decode: Callable[[bytes], T]
) -> Iterator[tuple[str, T | str | None]]:
    """Yield objects by their names, as `decode` makes them of bytes, or None where one is gone.

    In the place of one that is damaged come words that say how. `decode` raises Undecodable.
    """

    def read(name: str) -> tuple[str, T | str | None]:
        try:
            found = objects.read(name, limit)
            return name, decode(found.data) if found is not None else None
        except (Undecodable, TooLarge) as error:
            return name, str(error)
        except OSError as error:
            return name, error.strerror or str(error)

    if objects.at_once == 1:
        yield from map(read, names)
        return
    with ThreadPoolExecutor(objects.at_once) as pool:
        yield from pool.map(read, names)


def insist(operation: Callable[[], T]) -> T:
    """Do something to a store, and try it again for a short while if the store fails or refuses.

    Raises:
        StoreError: it still does.

    """
    return retry(
        operation,
        _PATIENCE,
        heals=lambda error: isinstance(error, StoreError) and not error.lasts,
    )


def update(
    objects: Objects,
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
    contest = Contest(objects.address(key), patience=patience)
    while True:
        found = objects.read(key, limit)
        data = change(found.data if found is not None else None)
        if found is None:
            written = objects.create(key, data)
        else:
            written = found.data == data or objects.replace(key, data, found.version)
        if written:
            return
        contest.lose(found)


class Contest:
    """The attempts to change an object that others may change at the same time."""

    def __init__(self, address: str, *, patience: float = _CONTENTION) -> None:
        """Begin; `patience` is for how many seconds it is tried."""
        self._address = address
        self._patience = patience
        self._deadline = time.monotonic() + patience
        self._wait = 0.05
        self._version: str | None = ""
        self._unchanged = 0

    def lose(self, found: StoredObject | None) -> None:
        """Wait before the next attempt, as a write in the place of what was `found` was refused.

        Raises:
            StoreError: others were always faster, or nobody was, and the server refuses all the same.

        """
        version = None if found is None else found.version
        self._unchanged = self._unchanged + 1 if version == self._version else 0
        self._version = version
        if self._unchanged >= _UNCHANGED:
            what = f"replace the very version that it gives, {version}"
            if version is None:
                what = "make what it says is not there"
            raise self._lost(
                f"{self._address}: the server refuses to {what}, {_UNCHANGED + 1} times",
                f"does something in between change ETags, such as by compressing? {CONDITIONS_HINT}",
            )
        if time.monotonic() > self._deadline:
            raise self._lost(
                f"{self._address} could not be changed for {self._patience:g} s, because others "
                "change it all the time",
                "run this again when fewer write there",
            )
        # Each takes another time, so that they do not meet again.
        time.sleep(random.Random().uniform(0, self._wait))  # noqa: S311  # no secret
        self._wait = min(2 * self._wait, 5.0)

    def _lost(self, words: str, hint: str) -> StoreError:
        error = StoreError(words, hint=hint)
        error.lasts = True  # it was tried for long enough
        return error


def is_key(name: str) -> bool:
    """Return whether an object of a store may have this name: it leads nowhere else."""
    return "\0" not in name and not {"", ".", ".."}.intersection(name.split("/"))


def check_key(key: str) -> str:
    """Return a key, once it is sure that it leads nowhere else.

    Raises:
        StoreError: it does.

    """
    if not is_key(key):
        raise StoreError(f"{key!r} is no name of an object")
    return key
