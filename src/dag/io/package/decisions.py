"""What was decided about the environments of a directory, kept for the next run.

It counts for the very same packages only: its key is a hash of them and of the code that decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from dag.core.package.candidates import Candidate
from dag.core.package.environments import Decisions
from dag.core.package.model import Package
from dag.io import usercache
from dag.io.package import parses

_NAME = "environments"
_SIZE = 32
_DECODER = msgspec.msgpack.Decoder(Decisions)


def key_of(packages: Iterable[Package], listed: Iterable[Candidate], arch: str) -> bytes:
    """Return the key for these packages, those that repositories list, and the architecture."""
    facts = msgspec.msgpack.encode((arch, list(packages), list(listed)))
    return hashlib.blake2b(facts, digest_size=_SIZE, key=parses.code_digest()).digest()


def load(directory: Path, arch: str, key: bytes) -> Decisions | None:
    """Return what was kept for a directory; None if that is nothing, or has another key."""
    payload = usercache.load(usercache.file_about(_NAME, directory, arch))
    if payload is None or payload[:_SIZE] != key:
        return None
    try:
        return _DECODER.decode(payload[_SIZE:])
    except (msgspec.DecodeError, RecursionError):
        return None


def store(directory: Path, arch: str, key: bytes, decisions: Decisions) -> None:
    """Keep just this for the directory; a cache that cannot be written is no failure."""
    payload = key + msgspec.msgpack.encode(decisions)
    usercache.store(usercache.file_about(_NAME, directory, arch), payload)
