"""The end of another container's process, seen through a pipe that it holds open.

The pipe is made on a volume that the other container mounts read-only: it can write to the pipe, and
can neither remove it nor put something else in its place. Opening it waits until both have come, so
neither can miss the other; and the kernel closes it, whatever ends the other one.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from dag.errors import InfrastructureError

_EXIT = re.compile(rb"exit ([0-9]{1,3})\n\Z")
_LINE = 64
"""Bytes that are read of the first line; more is read and forgotten."""


def make_pipe(path: Path) -> None:
    """Make a pipe into which its owner writes, and which everybody reads.

    Raises:
        OSError: it cannot be made.

    """
    os.mkfifo(path, 0o644)


def await_start(path: Path) -> int:
    """Wait until the other side has opened the pipe and written a line; return the open pipe.

    There is no limit of time: its image may be on its way to the node.

    Raises:
        InfrastructureError: there is no pipe, or the other side closed it without a word.

    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be opened: {error.strerror}") from error
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InfrastructureError(f"{path} is no pipe")
    for _ in range(_LINE):  # not more than the line: what follows may be there already
        if not (read := os.read(descriptor, 1)):
            os.close(descriptor)
            raise InfrastructureError("the build ended before it began")
        if read == b"\n":
            break
    return descriptor


def await_end(descriptor: int) -> int | None:
    """Wait until every process of the other side that had the pipe open has ended.

    Returns the exit code that it said last; None if it did not come to that.
    """
    last = b""
    try:
        while data := os.read(descriptor, 1 << 16):
            last = (last + data)[-_LINE:]
    finally:
        os.close(descriptor)
    code = _EXIT.search(last)
    return int(code[1]) if code else None
