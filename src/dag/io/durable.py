"""Files that are there as a whole or not at all, whenever the power goes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def sync(path: Path) -> None:
    """Bring a file's bytes, or a directory's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes) -> None:
    """Replace `path` by a file with `data`: a reader sees the old one or the new one."""
    temporary = path.with_name(f".tmp-{path.name}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where that cannot be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def place(source: Path, target: Path) -> None:
    """Let `target` be the file `source`, which keeps its name; what was there is replaced."""
    temporary = target.with_name(f".tmp-{target.name}")
    temporary.unlink(missing_ok=True)
    link(source, temporary)
    temporary.replace(target)
    # Where both were names of one file already, POSIX has rename do nothing and keep both.
    temporary.unlink(missing_ok=True)
