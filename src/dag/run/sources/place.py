"""The place of the cache: one default for every command, beside the definitions."""

from __future__ import annotations

import os
from pathlib import Path

from dag.core.sources.downloads import is_cache_name
from dag.core.sources.options import CacheOptions

CACHE_NAME = "cache"


def cache_beside(directory: str | Path) -> Path:
    """Return the cache of a directory of definitions."""
    return Path(directory) / CACHE_NAME


def cache_directory(options: CacheOptions) -> Path:
    """Return the cache that `dag cache` fills."""
    return Path(options.out) if options.out else cache_beside(options.directory)


def note_on_old_cache(directory: str | Path) -> str | None:
    """Return a word about sources that an earlier `dag cache -d` has put elsewhere; None if none.

    It took `cache` in the working directory, where no build found it.
    """
    old, new = Path(CACHE_NAME), cache_beside(directory)
    try:
        if not old.is_dir() or (new.exists() and old.samefile(new)):
            return None
        names = os.listdir(old)  # noqa: PTH208  # only the names
    except OSError:
        return None
    if ".dag" not in names or not any(name == "git" or is_cache_name(name) for name in names):
        return None
    return (
        f"./{old} has sources, but {new} is the cache of these definitions:"
        f" move them there, or name the directory with --out"
    )
