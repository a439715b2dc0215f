"""The lock of a store: one writer, whose lock the kernel releases when it ends, and who that is."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from dag.core.decoding import Undecodable, decode
from dag.errors import InfrastructureError

_ANOTHER = "name another directory with --store"
_A_LOOK = 0.1
"""How many seconds `holder` may have the lock while it looks whether somebody has it."""
_LIMIT = 8192
"""How many bytes of a lock's file are read."""


class _Holder(msgspec.Struct):
    """The process that holds a lock, as the lock's file has it."""

    pid: int
    host: str
    since: float
    """In seconds since 1970."""
    command: str


_DECODER = msgspec.json.Decoder(_Holder)


class Held(InfrastructureError):
    """Somebody else holds the lock; the message says who."""


class Lock:
    """A lock on a file, which is held while it is entered."""

    def __init__(self, path: Path, *, what: str) -> None:
        """Take the lock's file and, for messages, what it guards."""
        self._path = path
        self._what = what
        self._descriptor: int | None = None

    def try_acquire(self) -> None:
        """Take the lock now.

        Raises:
            Held: another process has it.
            InfrastructureError: the file may not be written.

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
            who = _describe_holder(os.pread(descriptor, _LIMIT, 0))
            os.close(descriptor)
            raise Held(
                f"{self._what} is in use by {who}",
                hint=f"wait for it with --wait, or {_ANOTHER}",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(_this_process()), 0)
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
        """Take the lock, and `wait` for its holder if asked to; `say` is told whom this waits for.

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
        """Return whether this object has the lock."""
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
    """Return the process that holds the lock at `path` now; None if nobody does.

    If the holder is on another machine, the number is that of no process here. It is 0 if the
    holder has not said yet who it is.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return decode(_DECODER, os.pread(descriptor, _LIMIT, 0), limit=_LIMIT).pid
        except Undecodable:
            return 0
    finally:
        os.close(descriptor)
    return None


def _this_process() -> _Holder:
    # Words that are not UTF-8 have characters that JSON cannot hold.
    command = " ".join(sys.argv)[:1000].encode(errors="replace").decode()
    return _Holder(pid=os.getpid(), host=socket.gethostname(), since=time.time(), command=command)


def _describe_holder(data: bytes) -> str:
    try:
        holder = decode(_DECODER, data, limit=_LIMIT)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since))
    except (Undecodable, ValueError, OverflowError):
        return "another process, which has not said who it is yet"
    return f"process {holder.pid} on {holder.host} since {since} ({holder.command})"
