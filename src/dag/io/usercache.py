"""The user's cache: what can be had again, shared by all directories of definitions."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(name: str) -> Path:
    """Return the directory of this name in the user's cache; it need not be there."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dag" / name


def forget_oldest(directory: Path, kept: int) -> None:
    """Remove the files of a directory but for the newest ones.

    Raises:
        OSError: the directory cannot be read, or a file not be removed.

    """
    files = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[kept:]:
        path.unlink(missing_ok=True)
