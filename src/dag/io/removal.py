"""The removal of trees that builds have left, whatever is in them.

A build may take away its own rights to a directory, and nest directories deeper than a path can be
long or a process has descriptors. So nothing here follows a path, and each directory that is found
far below is moved to the top, to be removed from there.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FAR = 16
"""How many directories are open at once, each in the one before."""


def remove(path: Path) -> None:
    """Remove a file, a link or a tree, if it is there; no process may be alive that writes to it.

    Until it is gone, what is left of a tree lies beside it, in a directory whose name begins with
    `.tmp-`.

    Raises:
        OSError: something in it belongs to somebody else, or the disk fails.

    """
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink(missing_ok=True)
            return
        trash = Trash(path.with_name(f".tmp-{secrets.token_hex(8)}"))
        trash.take(path)
    except FileNotFoundError:
        return
    trash.empty()
    trash.directory.rmdir()


class Trash:
    """A directory to which things are moved at once, to be removed when there is time."""

    def __init__(self, directory: Path) -> None:
        """Name the directory, which is made when something is moved there."""
        self.directory = directory
        self._stopping = False

    def take(self, path: Path) -> None:
        """Move a file or a tree there; what is on another file system is removed at once.

        Raises:
            FileNotFoundError: it is not there.
            OSError: it belongs to somebody else, or the disk fails.

        """
        mode = path.lstat().st_mode
        self.directory.mkdir(mode=0o700, exist_ok=True)
        if stat.S_ISDIR(mode):
            _let_in(path)
        try:
            path.rename(self.directory / secrets.token_hex(8))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            remove(path)

    @contextmanager
    def emptied_meanwhile(self, say: Callable[[str], None]) -> Iterator[None]:
        """Empty it beside other work, and wait for that at the end, unless the work was broken off.

        What is left then is removed the next time. `say` is told of what cannot be removed.
        """
        if not self.directory.exists():
            yield
            return
        wrong: list[OSError] = []

        def empty() -> None:
            try:
                self.empty()
            except OSError as error:
                wrong.append(error)

        thread = threading.Thread(target=empty, name="removal", daemon=True)
        thread.start()
        try:
            yield
            thread.join()
        finally:
            self._stopping = True
            thread.join()
        for error in wrong:
            say(f"what an earlier build has left in {self.directory} cannot be removed: {error}")

    def empty(self) -> None:
        """Remove everything that is there.

        Raises:
            OSError: something belongs to somebody else, or the disk fails.

        """
        top = os.open(self.directory, _OPEN)
        try:
            names = os.listdir(top)  # noqa: PTH208  # the directory is open
            while names and not self._stopping:
                name = names.pop()
                if stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
                    self._remove_directory(name, [top], names)
                else:
                    os.unlink(name, dir_fd=top)
        finally:
            os.close(top)

    def _remove_directory(self, name: str, above: list[int], names: list[str]) -> None:
        """Remove a directory in the last of those `above`, which are open; the first is the trash.

        `names` gets those that were moved there.
        """
        parent = above[-1]
        while not self._stopping:
            directory = _open(name, parent)
            try:
                self._empty([*above, directory], names)
            finally:
                os.close(directory)
            try:
                os.rmdir(name, dir_fd=parent)
            except OSError as error:
                # What is in a directory while it is read may be missed, so it is read until it is empty.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                return

    def _empty(self, opened: list[int], names: list[str]) -> None:
        """Remove what is in the last of these open directories."""
        directory = opened[-1]
        with os.scandir(directory) as entries:
            for entry in entries:
                if self._stopping:
                    return
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.name, dir_fd=directory)
                elif len(opened) < _FAR:
                    self._remove_directory(entry.name, opened, names)
                else:
                    _let_in(entry.name, directory)
                    moved = secrets.token_hex(8)
                    os.rename(entry.name, moved, src_dir_fd=directory, dst_dir_fd=opened[0])
                    names.append(moved)


def _open(name: str, parent: int) -> int:
    """Open a directory that may have taken away our rights to it."""
    try:
        directory = os.open(name, _OPEN, dir_fd=parent)
    except PermissionError:
        _let_in(name, parent)
        directory = os.open(name, _OPEN, dir_fd=parent)
    if os.fstat(directory).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with suppress(PermissionError):
            os.fchmod(directory, stat.S_IRWXU)
    return directory


def _let_in(directory: Path | str, parent: int | None = None) -> None:
    # To be moved, a directory must be one that can be written to: `..` changes.
    with suppress(PermissionError):
        os.chmod(directory, 0o700, dir_fd=parent)
