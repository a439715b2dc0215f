"""Files that somebody wrote for us, which may turn out to be something else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_text(path: Path) -> str:
    """Read a file in UTF-8; a pipe in its place is not waited for.

    Raises:
        OSError: it cannot be read, or is a pipe.
        UnicodeDecodeError: it is no UTF-8.

    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, encoding="utf-8") as file:  # noqa: PTH123
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is a named pipe", str(path))
        return file.read()
