"""The user's cache: what can be had again, shared by all directories of definitions."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from dag.core.limits import Limit, TooLarge
from dag.io import durable
from dag.io.files import read_bytes

_DIGEST = 16
_KEPT = 64
"""The number of directories about which something is kept."""
_LIMIT = Limit("a file of the cache", 1 << 30)
"""That of Wolfi's 3,401 definitions has 3 MB."""


def user_cache(name: str) -> Path:
    """Return the directory of this name in the user's cache; it need not be there."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dag" / name


def file_about(name: str, directory: Path, arch: str) -> Path:
    """Return the file of the user's cache `name` that is about a directory of definitions."""
    place = os.fsencode((directory / arch).resolve())
    return user_cache(name) / f"{hashlib.blake2b(place, digest_size=_DIGEST).hexdigest()}.msgpack"


def load(place: Path) -> memoryview | None:
    """Return what `store` wrote to a file; None if it is missing, damaged or too large."""
    try:
        data = memoryview(read_bytes(place, _LIMIT))
    except (OSError, TooLarge):
        return None
    digest, payload = data[:_DIGEST], data[_DIGEST:]
    whole = hashlib.blake2b(payload, digest_size=_DIGEST).digest() == digest
    return payload if whole else None


def store(place: Path, payload: bytes) -> None:
    """Write a file with its hash, and remove those that were not written for longest.

    A cache that cannot be written is no failure.
    """
    data = hashlib.blake2b(payload, digest_size=_DIGEST).digest() + payload
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        forget_oldest(place.parent, _KEPT)
        durable.write(place, data, lasting=False)
    except OSError:
        return


def forget_oldest(directory: Path, kept: int) -> None:
    """Remove the files of a directory but for the newest ones.

    Raises:
        OSError: the directory cannot be read, or a file not be removed.

    """
    files = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[kept:]:
        path.unlink(missing_ok=True)
