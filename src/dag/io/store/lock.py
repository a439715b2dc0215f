"""One writer a store: a lock that says who has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from dag.errors import InfrastructureError
from dag.io.locks import HeldLock, lock, read_holder, try_lock

_ANOTHER = "name another directory with --store"
_LOOKS = 20
_A_LOOK = 0.005
"""Seconds; who only looks whether somebody has the lock (`read_holder`) lets go of it at once."""


class Held(InfrastructureError):
    """Somebody else holds the lock; the message says who."""


class Lock:
    """A lock on a file, which is held while it is entered."""

    def __init__(self, path: Path, *, what: str) -> None:
        """Take the lock's file and, for messages, what it guards."""
        self._path = path
        self._what = what
        self._lock: HeldLock | None = None

    def try_acquire(self) -> None:
        """Take the lock now.

        Raises:
            Held: another process has it.
            InfrastructureError: the file may not be written.

        """
        try:
            for _ in range(_LOOKS):
                if (taken := try_lock(self._path)) is not None:
                    return self._take(taken)
                time.sleep(_A_LOOK)
            holder = read_holder(self._path)
        except OSError as error:
            raise self._unusable(error) from error
        who = holder or "another process, which has just ended"
        raise Held(
            f"{self._what} is in use by {who}",
            hint=f"wait for it, as `dag build --wait` does, or {_ANOTHER}",
        )

    def acquire(self, *, wait: bool, say: Callable[[str], None]) -> None:
        """Take the lock, and `wait` for its holder if asked to; `say` is told whom this waits for.

        Raises:
            Held: another process has it, and `wait` is not set.
            InfrastructureError: there may nothing be written.

        """
        try:
            return self.try_acquire()
        except Held as held:
            if not wait:
                raise
            say(f"waiting: {held.message}")
        try:
            self._take(lock(self._path))
        except OSError as error:
            raise self._unusable(error) from error

    def _take(self, taken: HeldLock) -> None:
        taken.sign()
        self._lock = taken

    def _unusable(self, error: OSError) -> InfrastructureError:
        return InfrastructureError(
            f"{self._what} cannot be locked: {error.strerror}", hint=_ANOTHER
        )

    @property
    def held(self) -> bool:
        """Whether this object has it."""
        return self._lock is not None

    def release(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        if self._lock is None:
            self.try_acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """Return the process that holds the lock at `path` now; None if nobody does.

    If the holder is on another machine, the number is that of no process here. It is 0 if the
    holder has not said yet who it is.
    """
    found = read_holder(path)
    return None if found is None else found.pid
