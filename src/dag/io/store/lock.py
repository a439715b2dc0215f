"""One writer a store: a lock that the kernel releases with its holder, and who that is."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dag.errors import InfrastructureError

_ANOTHER = "use another --store"
_A_LOOK = 0.1
"""Seconds; who only looks whether somebody has the lock (`holder`) lets go of it at once."""


class Held(InfrastructureError):
    """Somebody else holds the lock; the message says who."""


class Lock:
    """Holds `path` while it is entered."""

    def __init__(self, path: Path, *, what: str) -> None:
        """Name the file of the lock, and for messages what it guards."""
        self._path = path
        self._what = what
        self._descriptor: int | None = None

    def try_acquire(self) -> None:
        """Take the lock now.

        Raises:
            Held: another process has it.
            InfrastructureError: there may nothing be written.

        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InfrastructureError(
                f"{self._what} cannot be locked: {error.strerror}", hint=_ANOTHER
            ) from error
        try:
            self._lock(descriptor)
        except BlockingIOError:
            who = _who(os.pread(descriptor, 4096, 0))
            os.close(descriptor)
            raise Held(
                f"{self._what} is in use by {who}",
                hint=f"wait for it with --wait, or {_ANOTHER}",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_self()).encode(), 0)
        self._descriptor = descriptor

    @staticmethod
    def _lock(descriptor: int) -> None:
        deadline = time.monotonic() + _A_LOOK
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_A_LOOK / 20)

    def acquire(self, *, wait: bool, say: Callable[[str], None]) -> None:
        """Take the lock, after its holder if `wait`; `say` is told whom this waits for.

        Raises:
            Held: another process has it, and `wait` is not set.

        """
        said = ""
        while True:
            try:
                return self.try_acquire()
            except Held as held:
                if not wait:
                    raise
                if held.message != said:
                    said = held.message
                    say(f"waiting: {said}")
                time.sleep(0.2)

    @property
    def held(self) -> bool:
        """Whether this object has it."""
        return self._descriptor is not None

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        if self._descriptor is None:
            self.try_acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """The process that holds the lock at `path` now; None if nobody does.

    On another machine, or where it has not said who it is yet, the number is of no process here.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(ValueError, KeyError, TypeError):
            return int(json.loads(os.pread(descriptor, 4096, 0))["pid"])
        return 0
    finally:
        os.close(descriptor)
    return None


def _self() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.time(),
        "command": " ".join(sys.argv[:1] + sys.argv[1:])[:1000],
    }


def _who(holder: bytes) -> str:
    try:
        data = json.loads(holder)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(data["since"]))
        return f"process {data['pid']} on {data['host']} since {since} ({data['command']})"
    except (ValueError, KeyError, TypeError):
        return "another process, which has not said who it is yet"
