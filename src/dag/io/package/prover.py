"""Packages that a stranger's build left are judged here: copied, and read by another process.

A build may leave links, pipes, and files that change while they are read. So each file is copied
without following a link, and only the copy counts from then on. It may also leave bytes that are
made to harm their reader, which therefore has little memory and time, and nothing to lose.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import PurePath
from threading import Lock
from typing import TYPE_CHECKING, Self

import msgspec

from dag.core.decoding import Undecodable, decode
from dag.core.limits import PACKAGE, RECORD, TooLarge
from dag.core.package.apk import BrokenPackage
from dag.io.package.reader import EXIT_CODE, ReaderAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dag.io.package.apk import ReadApk

_PIECE, _AT_ONCE = 1 << 20, 1 << 30
_ANSWER = msgspec.json.Decoder(ReaderAnswer)
_NOT_IN_THE_KERNEL = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_FILE = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENXIO})
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class PackageReader:
    """Processes that read packages; the one that they are made from is started at the first package."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._turn = Lock()

    def read(self, descriptor: int) -> ReadApk:
        """Return the package in an open file, read from its beginning.

        Raises:
            BrokenPackage: it is no package, or made to harm its reader.
            OSError: the file cannot be read.

        """
        answer = self._ask(descriptor)
        if answer.read is None:
            raise BrokenPackage(answer.broken or "its reader said nothing")
        return answer.read

    def compare(self, first: int, second: int) -> str:
        """Return, in words, the first member in which the data of two packages in open files differs.

        It is empty if no member does.

        Raises:
            BrokenPackage: one is no package, or made to harm its reader.
            OSError: a file cannot be read.

        """
        answer = self._ask(first, second)
        if answer.differs is None:
            raise BrokenPackage(answer.broken or "its reader said nothing")
        return answer.differs

    def _ask(self, *descriptors: int) -> ReaderAnswer:
        """Return what a reader says of a file or of two.

        Raises:
            OSError: a file cannot be read.

        """
        with self._turn:
            answer = self._answer_about(descriptors)
        if answer.failed is not None:
            raise OSError(errno.EIO, answer.failed)
        return answer

    def _answer_about(self, descriptors: Sequence[int]) -> ReaderAnswer:
        # A package ends its own reader alone, so it is not to blame if readers cannot be made.
        heard = self._hear(descriptors) or self._hear(descriptors)
        if heard is None:
            return ReaderAnswer(failed="the process that has packages read ends without an answer")
        said, code = heard
        if code == -signal.SIGXCPU:
            return ReaderAnswer(broken="it makes its reader end: it takes too much time")
        try:
            return decode(_ANSWER, said, limit=RECORD.most)
        except Undecodable:
            return ReaderAnswer(broken=f"it makes its reader end: exit code {code}")

    def _hear(self, descriptors: Sequence[int]) -> tuple[bytes, int] | None:
        """Return what a reader says of files, and how it ended; None if none was made."""
        asked = self._socket or self._start()
        # The reader shares the position of whoever opened the file.
        for one in descriptors:
            os.lseek(one, 0, os.SEEK_SET)
        hear, say = os.pipe()
        with os.fdopen(hear, "rb") as pipe:
            try:
                with os.fdopen(say, "wb"):
                    socket.send_fds(asked, [b"?"], [*descriptors, say])
                said = pipe.read(RECORD.most + 1)
                (code,) = EXIT_CODE.unpack(asked.recv(EXIT_CODE.size))
            except (OSError, struct.error):
                self._end()
                return None
        return said, code

    def _start(self) -> socket.socket:
        ours, its = socket.socketpair()
        with its:
            # It gets no environment, and no file of ours but the socket.
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-m", "dag.io.package.reader"],
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
                start_new_session=True,
            )
        self._socket = ours
        return ours

    def _end(self) -> None:
        """End the process, if there is one."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.wait()
        self._socket = self._process = None

    def close(self) -> None:
        """End the process; nothing is read any more."""
        with self._turn:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def open_inside(directory: Path, path: PurePath) -> Iterator[int]:
    """Open a file that a stranger wrote below `directory`, following no link on the way to it.

    Raises:
        FileNotFoundError: there is nothing.
        BrokenPackage: there is something else than an ordinary file, or a link on the way; the
            message names the file.

    """
    file = _open_below(directory, path)
    try:
        size = _size(file, path.name)
        # Its copy would take more of the disk than it does itself.
        if size and os.lseek(file, 0, os.SEEK_HOLE) < size:
            raise BrokenPackage(f"{path.name} is a sparse file")
        yield file
    finally:
        os.close(file)


def _open_below(directory: Path, path: PurePath) -> int:
    at = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    what = "is behind a link"
    try:
        for part in path.parts[:-1]:
            above, at = at, os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(above)
        what = "is not an ordinary file"
        return os.open(path.name, _OPEN, dir_fd=at)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise BrokenPackage(f"{path.name} {what}") from None
        raise
    finally:
        os.close(at)


def _size(file: int, name: str) -> int:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise BrokenPackage(f"{name} is not an ordinary file")
    try:
        PACKAGE.check(status.st_size, name)
    except TooLarge as error:
        raise BrokenPackage(str(error)) from None
    return status.st_size


def copy_bytes(source: int, target: int, *, begin: int = 0) -> None:
    """Copy an open file, as long as it is now, from `begin` on to the end of another one.

    Raises:
        OSError: the disk is full, or a file cannot be read or written.

    """
    at, end = begin, os.fstat(source).st_size
    while at < end and (copied := _copy_some(source, target, at, end - at)):
        at += copied


def _copy_some(source: int, target: int, at: int, most: int) -> int:
    try:
        return os.copy_file_range(source, target, min(most, _AT_ONCE), at)
    except OSError as error:
        if error.errno not in _NOT_IN_THE_KERNEL:
            raise
    data = os.pread(source, min(most, _PIECE), at)
    return os.write(target, data)
