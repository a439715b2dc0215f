"""A cache of resolved definitions, keyed by everything that they were made from.

A key is a hash of the definition's bytes, the pipelines, the architecture, the build options and
the source of the code that resolves; so an entry can be missing but never stale. One file holds the
entries of one directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from dag.core.package.model import BrokenDefinition, Package
from dag.io import usercache

_NAME = "definitions"
_DIGEST = 16

Entries = dict[bytes, Package | BrokenDefinition | None]
"""Key → definition; None for a file that is none."""

_DECODER = msgspec.msgpack.Decoder(Entries)


def resolving_code() -> list[Path]:
    """Return the source files on which it depends what a definition is resolved to.

    The subject `package` lies below all others, so it imports nothing of `dag` but itself and the
    single modules beside it.
    """
    root = Path(__file__).parents[2]
    places = (root, root / "core", root / "core" / "package")
    return [Path(__file__), *sorted(path for place in places for path in place.glob("*.py"))]


@cache
def code_digest() -> bytes:
    """Return a hash of the code that resolves definitions."""
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for path in resolving_code():
        _add(digest, path.read_bytes())
    return digest.digest()


def run_salt(parts: Iterable[bytes]) -> bytes:
    """Return the salt that all keys of a run share: a hash of the code and of `parts`."""
    digest = hashlib.blake2b(code_digest(), digest_size=_DIGEST)
    for part in parts:
        _add(digest, part)
    return digest.digest()


def _add(digest: hashlib.blake2b, part: bytes) -> None:
    # The length goes first, so that no two lists of parts are the same bytes.
    digest.update(b"%d:" % len(part))
    digest.update(part)


def entry_key(file: str, data: bytes, salt: bytes) -> bytes:
    """Return the key of one file's entry."""
    digest = hashlib.blake2b(file.encode() + b"\0", digest_size=_DIGEST, key=salt)
    digest.update(data)
    return digest.digest()


def load(directory: Path, arch: str) -> Entries:
    """Return the entries of `directory`; none if the file is missing, damaged or of another time."""
    payload = usercache.load(usercache.file_about(_NAME, directory, arch))
    try:
        return {} if payload is None else _DECODER.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return {}


def store(directory: Path, arch: str, entries: Entries) -> None:
    """Keep exactly `entries` for `directory`; a cache that cannot be written is no failure."""
    payload = msgspec.msgpack.encode(entries)
    usercache.store(usercache.file_about(_NAME, directory, arch), payload)
