"""Copies a directory of the agent's own image into a volume."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
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
            if entry.is_dir(follow_symlinks=False):
                open_ones.append((Path(entry.path), there / entry.name))
            else:
                _copy_entry(Path(entry.path), there / entry.name)


def copy_paths(source: Path, target: Path, paths: Iterable[str]) -> None:
    """Copy these files, links and directories below `source` to the same places below `target`.

    Of a directory, nothing that is in it is copied.

    Raises:
        OSError: something cannot be read or written.

    """
    for path in paths:
        here, there = source / path, target / path
        if here.is_dir() and not here.is_symlink():
            there.mkdir(parents=True, exist_ok=True)
        else:
            there.parent.mkdir(parents=True, exist_ok=True)
            _copy_entry(here, there)


def _copy_entry(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    shutil.copyfile(source, target, follow_symlinks=False)
    executable = source.stat().st_mode & stat.S_IXUSR
    target.chmod(0o755 if executable else 0o644)
