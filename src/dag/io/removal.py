"""The removal of trees that builds have left, whatever is in them.

A build may take away its own rights to a directory, and nest directories deeper than a path can be
long or a process has descriptors. So nothing here follows a path or calls itself: each directory
that is found is first moved to the top, where its name is short.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
        aside = tempfile.mkdtemp(prefix=".tmp-", dir=path.parent)
        _let_in(path)
        os.rename(path, f"{aside}/0")  # noqa: PTH104  # it is one word with its counterpart below
    except FileNotFoundError:
        return
    top = os.open(aside, _OPEN)
    try:
        _remove_all(top)
    finally:
        os.close(top)
    os.rmdir(aside)  # noqa: PTH106


def _remove_all(top: int) -> None:
    """Remove the directory `0` in `top`, and those that it and its likes turn out to have."""
    names, count = ["0"], 1
    while names:
        name = names[-1]
        # What is in a directory while it is read may be missed, so it is read until it is empty.
        directory = os.open(name, _OPEN, dir_fd=top)
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        _let_in(entry.name, directory)
                        os.rename(entry.name, str(count), src_dir_fd=directory, dst_dir_fd=top)
                        names.insert(0, str(count))
                        count += 1
                    else:
                        os.unlink(entry.name, dir_fd=directory)
        finally:
            os.close(directory)
        try:
            os.rmdir(name, dir_fd=top)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            names.pop()


def _let_in(directory: Path | str, parent: int | None = None) -> None:
    # To be moved, a directory must be one that can be written to: `..` changes.
    with suppress(PermissionError):
        os.chmod(directory, 0o700, dir_fd=parent)
