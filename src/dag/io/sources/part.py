"""The beginning of a file that is on its way into the cache."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dag.core.sources.downloads import SourceDigest
    from dag.io.locks import HeldLock

BLOCK = 1 << 20
"""Bytes read, hashed and written at once: enough that Python's share of the work is small."""
SUFFIX = ".part"


class Part:
    """The beginning of a file, hashed as far as it goes, for the holder of its lock."""

    def __init__(self, held: HeldLock, digests: Sequence[SourceDigest]) -> None:
        """Take the lock on the file, and the digests that the whole must have."""
        self.path = held.path
        self.size = 0
        """Bytes that are written and hashed."""
        self._held = held
        self._descriptor = held.descriptor
        self._digests = tuple(digests)
        self._hashes = [hashlib.new(digest.algorithm) for digest in digests]

    @property
    def is_empty(self) -> bool:
        """Return whether no earlier attempt has left anything in the file."""
        return os.fstat(self._descriptor).st_size == 0

    def load(self) -> None:
        """Hash what an earlier attempt left, from its first byte."""
        self._start()
        while block := os.read(self._descriptor, BLOCK):
            self._hash(block)

    def write(self, data: bytes | bytearray) -> None:
        """Append to the file and to the hashes."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._hash(data)

    def restart(self) -> None:
        """Throw away what has come."""
        os.ftruncate(self._descriptor, 0)
        self._start()

    def find_mismatch(self) -> tuple[SourceDigest, str] | None:
        """Return the first digest that is wrong, and the hex that the file has; None if all fit."""
        for digest, value in zip(self._digests, self._hashes, strict=True):
            if value.hexdigest() != digest.hex:
                return digest, value.hexdigest()
        return None

    def sync(self) -> None:
        """Bring the file to the disk."""
        os.fchmod(self._descriptor, 0o644)
        os.fsync(self._descriptor)

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the lock; what has come stays for the next attempt."""
        status = os.fstat(self._descriptor)
        with suppress(FileNotFoundError):
            # An inode of another file means that this one got its name, or was removed.
            if status.st_size == 0 and status.st_ino == self.path.stat().st_ino:
                self.path.unlink()
        self._held.release()

    def _start(self) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = 0
        self._hashes = [hashlib.new(digest.algorithm) for digest in self._digests]

    def _hash(self, data: bytes | bytearray) -> None:
        for value in self._hashes:
            value.update(data)
        self.size += len(data)
