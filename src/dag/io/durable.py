"""Files that are there as a whole or not at all, whenever the power goes.

Whoever writes a file that another process may read writes it here: under a temporary name in the
same directory, which then becomes the file's own in one step.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEMPORARY = ".tmp-"
"""How the names of files begin that are not finished: what a dead process left of them may go."""

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV})
"""The file system has none, the file has as many as it can have, or it is on another one."""
_NO_REPLACEMENT = frozenset({errno.EACCES, errno.EBUSY, errno.EPERM, errno.EROFS})
"""The directory takes no other file, or this one is mounted there; it may be written all the same."""


def sync(path: Path) -> None:
    """Bring a file's bytes, or a directory's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Replace `path` by a file with `data`: a reader sees the old one or the new one.

    One that is not `lasting` may be lost or damaged when the power goes: for what vouches for
    itself by a checksum, and is found out again.
    """
    with replacing(path, lasting=lasting) as file:
        file.write(data)


def deliver(path: Path, data: bytes) -> None:
    """Write what a person asked for to where they asked for it, as a whole.

    A link stays, and what it leads to is written. What is there and is no regular file, such as a pipe
    or /dev/null, stays too and is given the bytes.

    Raises:
        OSError: it cannot be written; the error names `path`.

    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _deliver_file(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _deliver_file(path: Path, data: bytes) -> None:
    try:
        with replacing(path, lasting=False) as file:
            file.write(data)
            with suppress(FileNotFoundError):  # whom it is for may have chosen who reads it
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
    except OSError as error:
        if error.errno not in _NO_REPLACEMENT or not path.exists():
            raise
        path.write_bytes(data)


def create(path: Path, fill: Callable[[int], None]) -> bool:
    """Make a file that nobody changes any more; return False if there is one already.

    `fill` writes its bytes to the open file that it is given.
    """
    if path.exists():
        return False
    temporary = _temporary_name(path)
    try:
        with _new_file(temporary) as file:
            fill(file.fileno())
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)
    return True


def write_changed(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write a file, as `write` does, unless it has these bytes already."""
    with suppress(OSError):
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return
    write(path, data, lasting=lasting)


@contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` at the end, unless something went wrong before."""
    temporary = _temporary_name(path)
    try:
        with _new_file(temporary) as file:
            yield file
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if lasting:
        sync(path.parent)


def rename(source: Path, target: Path) -> None:
    """Give a file or a directory, whose bytes are on the disk, its final name, for good."""
    source.replace(target)
    sync(target.parent)


def link(source: Path, target: Path | str) -> None:
    """Give a file a second name, or copy it where that cannot be."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        import shutil  # rarely: all that it imports takes longer than the rest of this module

        shutil.copyfile(source, target)
        sync(Path(target))


def place(source: Path, target: Path) -> None:
    """Let `target` be the file `source`, which keeps its name; what was there is replaced.

    The directory is left to whoever places several files in it: see `sync`.
    """
    temporary = _temporary_name(target)
    try:
        link(source, temporary)
        temporary.replace(target)
    finally:
        # Where both were names of one file already, POSIX has rename do nothing and keep both.
        temporary.unlink(missing_ok=True)


def _temporary_name(path: Path) -> Path:
    # Not made of the file's own name, which may be as long as a name can be.
    return path.with_name(f"{TEMPORARY}{os.urandom(8).hex()}")


def _new_file(path: Path) -> BinaryIO:
    # Neither somebody else's file nor what a link leads to.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o644), "wb")
