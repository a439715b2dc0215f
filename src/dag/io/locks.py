"""Locks between processes: on a file, by the kernel, which lets go of one when its holder dies.

The file itself says nothing about the lock; it may hold who has it (`sign`, `read_holder`), or be
what the lock guards.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from dag.core.web import redact_text
from dag.io.files import require_file

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST_SIGNATURE = 4096
_LONGEST_COMMAND = 1000


class HeldLock:
    """A lock that this process has, until it is released or the process ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Use `try_lock`, `lock` or `wait_for_lock`."""
        self.path = path
        self.descriptor = descriptor
        """The open file, for whoever writes what the lock guards."""

    def sign(self) -> None:
        """Write into the file who has the lock."""
        mine = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.time(),
            "command": redact_text(" ".join(sys.argv))[:_LONGEST_COMMAND],
        }
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, json.dumps(mine).encode(), 0)

    def release(self) -> None:
        """Give the lock back."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class LockHolder(Struct, frozen=True):
    """The process that has a lock, as it has said itself."""

    pid: int = 0
    """0 if it has not said who it is; on another machine, it is of no process here."""
    host: str = ""
    since: float = 0
    """In seconds since 1970."""
    command: str = ""

    def __str__(self) -> str:
        if not self.pid:
            return "another process, which has not said who it is yet"
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {since} ({self.command})"


def try_lock(path: Path) -> HeldLock | None:
    """Take the lock on a file, which is made if it is not there; None if somebody else has it.

    Raises:
        OSError: the file cannot be opened, or is no ordinary one.

    """
    return _take_lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock(path: Path) -> HeldLock:
    """Take the lock on a file, which is made if it is not there, as soon as nobody else has it.

    Raises:
        OSError: the file cannot be opened, or is no ordinary one.

    """
    held = _take_lock(path, fcntl.LOCK_EX)
    assert held is not None  # noqa: S101  # the kernel has waited
    return held


async def wait_for_lock(path: Path) -> HeldLock:
    """Take the lock on a file as soon as nobody else has it, while other tasks go on.

    Raises:
        OSError: the file cannot be opened, or is no ordinary one.

    """
    if (held := try_lock(path)) is not None:
        return held
    loop = asyncio.get_running_loop()
    result: asyncio.Future[HeldLock] = loop.create_future()

    def settle(found: HeldLock | OSError) -> None:
        if isinstance(found, OSError):
            if not result.done():
                result.set_exception(found)
        elif result.done():
            found.release()  # nobody waits any more
        else:
            result.set_result(found)

    def wait() -> None:
        found: HeldLock | OSError
        try:
            found = lock(path)
        except OSError as error:
            found = error
        try:
            loop.call_soon_threadsafe(settle, found)
        except RuntimeError:  # the loop is closed
            if isinstance(found, HeldLock):
                found.release()

    # The kernel cannot be told to wait no more: a daemon, so that nobody has to wait for it.
    threading.Thread(target=wait, name=f"lock {path.name}", daemon=True).start()
    return await result


def read_holder(path: Path) -> LockHolder | None:
    """Return who has the lock on a file now; None if nobody does.

    To see that, the lock is had for an instant: whoever tries just then is refused.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _parse_holder(os.pread(descriptor, _LARGEST_SIGNATURE, 0))
    finally:
        os.close(descriptor)
    return None


def _take_lock(path: Path, operation: int) -> HeldLock | None:
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o644)
        try:
            fcntl.flock(descriptor, operation)
            status = os.fstat(descriptor)
            require_file(path, status)
            # The one who had the lock may have renamed or removed the file: then the lock is one
            # on something that nobody will look at again.
            with suppress(FileNotFoundError):
                if os.path.samestat(status, path.stat(follow_symlinks=False)):
                    return HeldLock(path, descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _parse_holder(data: bytes) -> LockHolder:
    try:
        found = json.loads(data)
        since = float(found["since"])
        time.localtime(since)  # of what no clock has it raises an error
        return LockHolder(int(found["pid"]), str(found["host"]), since, str(found["command"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return LockHolder()
