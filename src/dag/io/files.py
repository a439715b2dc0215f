"""Files that somebody wrote for us, which may turn out to be something else.

They may be pipes, which nobody fills; links to `/dev/zero`; or sparse files of many gigabytes. None
of them is read to its end, only to its limit. A file that somebody has named to us may be a pipe,
as the shell makes one of `<(…)`: such a one is waited for, and can be read only once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from dag.core.lines import split_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path, PurePath

    from dag.core.limits import Limit

_PIECE = 1 << 20


def read_bytes(path: Path, limit: Limit) -> bytes:
    """Read a file; a pipe in its place is not waited for.

    Raises:
        OSError: it cannot be read, or is a pipe.
        TooLarge: it has more bytes than the limit.

    """
    return b"".join(_pieces(path, limit))


def read_named(path: Path, limit: Limit) -> bytes:
    """Read a file that somebody has named, or what comes through a pipe; that is remembered.

    Raises:
        OSError: it cannot be read.
        TooLarge: it has more bytes than the limit.

    """
    found = path.stat()
    if not stat.S_ISFIFO(found.st_mode):
        return read_bytes(path, limit)
    key = (found.st_dev, found.st_ino)
    if key not in _PIPES:
        _PIPES[key] = b"".join(_pieces(path, limit, pipe=True))
    return _PIPES[key]


_PIPES: dict[tuple[int, int], bytes] = {}
"""What came through each pipe, by its device and inode."""


def read_text(path: Path, limit: Limit, *, errors: str = "strict") -> str:
    """Read a file in UTF-8; a pipe in its place is not waited for.

    `errors` is what becomes of bytes that are no UTF-8, as `bytes.decode` has it.

    Raises:
        OSError: it cannot be read, or is a pipe.
        TooLarge: it has more bytes than the limit.
        UnicodeDecodeError: it is no UTF-8.

    """
    text = read_bytes(path, limit).decode(errors=errors)
    # Each of the three is one newline to whoever wrote the file.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path, limit: Limit) -> Iterator[bytes]:
    """Read the lines of a file that may be large itself; each comes with its newline.

    Raises:
        OSError: it cannot be read, or is a pipe.
        TooLarge: a line is longer than the limit.

    """
    return split_lines(_pieces(path, None), limit, str(path))


def sha256_of(descriptor: int) -> str:
    """Return the SHA-256 of an open file, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.

    """
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_directory(root: Path, relative: PurePath) -> Path:
    """Make a directory below `root`, if it is not there, and return it.

    A link on the way to it is removed: somebody else may have put it there, and it may lead
    anywhere.

    Raises:
        OSError: it cannot be made.

    """
    path = root
    path.mkdir(parents=True, exist_ok=True)
    for name in relative.parts:
        path /= name
        if path.is_symlink():
            path.unlink()
        path.mkdir(exist_ok=True)
    return path


def require_file(path: Path, status: os.stat_result) -> None:
    """Refuse what is no ordinary file.

    Raises:
        OSError: it is something else.

    """
    # A pipe would be waited for without end.
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "this is no ordinary file", str(path))


def is_so(question: Callable[[], bool]) -> bool:
    """Return the answer to a question about an entry of a directory; False if it has none."""
    try:
        return question()
    except OSError:  # a link in a circle, or to where nobody may look
        return False


def _pieces(path: Path, limit: Limit | None, *, pipe: bool = False) -> Iterator[bytes]:
    flags = os.O_RDONLY | os.O_CLOEXEC
    descriptor = os.open(path, flags if pipe else flags | os.O_NONBLOCK)
    try:
        if not pipe and stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is a named pipe", str(path))
        size = 0
        while data := os.read(descriptor, _PIECE):
            size += len(data)
            if limit is not None:
                limit.check(size, str(path))
            yield data
    finally:
        os.close(descriptor)
