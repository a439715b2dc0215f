"""Copies a directory of the agent's own image into a volume."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def copy_tree(source: Path, target: Path) -> None:
    """Copy all below `source` into the directory `target`.

    Links stay links. Times are now, as a build goes by them; modes are 0755 and 0644.

    Raises:
        OSError: something cannot be read or written.

    """
    open_ones = [(source, target)]
    while open_ones:
        here, there = open_ones.pop()
        there.mkdir(mode=0o755, exist_ok=True)
        with os.scandir(here) as found:
            entries = sorted(found, key=lambda one: one.name)
        for entry in entries:
            place = there / entry.name
            if entry.is_symlink():
                place.symlink_to(Path(entry.path).readlink())
            elif entry.is_dir(follow_symlinks=False):
                open_ones.append((Path(entry.path), place))
            else:
                shutil.copyfile(entry.path, place, follow_symlinks=False)
                executable = entry.stat(follow_symlinks=False).st_mode & stat.S_IXUSR
                place.chmod(0o755 if executable else 0o644)
