"""The cache directory: a file has its final name only after its bytes were verified.

```
sha256:HEX, sha512:HEX   verified files, under the names that melange's `fetch` step looks for
sha256:HEX.part          what has come of a file so far; whoever writes it holds a lock on it
git/HOST/…/REPO.git      see dag.io.sources.git.cache
.dag/verified            size, mtime and inode of each file when it was last verified
.dag/locks/…             locks on repositories
```

Several processes may use one directory: a part has one writer, a final name appears by rename, and
a record that is lost costs only another look at the file.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from dag.core.sources.downloads import SourceDigest, is_cache_name
from dag.errors import InfrastructureError
from dag.io import durable
from dag.io.files import make_directory, require_file
from dag.io.locks import HeldLock, try_lock, wait_for_lock
from dag.io.sources.part import BLOCK, SUFFIX, Part
from dag.io.sources.records import Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

PRIVATE = ".dag"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a file that should have certain digests."""

    missing: tuple[SourceDigest, ...]
    size: int = 0
    """The size of the verified file, in bytes."""
    wrong: tuple[tuple[SourceDigest, str], ...] = ()
    """The names whose files have other bytes, each with the hex digest that these have."""


@dataclass(frozen=True, slots=True)
class RemovedEntry:
    """A file or a repository that was removed from the cache, or would be."""

    name: str
    size: int
    """Its size in bytes."""


class Cache:
    """A directory of verified files."""

    def __init__(self, directory: Path, *, make: bool = True) -> None:
        """Open `directory`; if it is not there, it is made, or else is empty.

        Raises:
            InfrastructureError: it can be neither used nor made.

        """
        self.directory = directory
        self.private = directory / PRIVATE
        try:
            if make or directory.exists():
                make_directory(directory, PurePath(PRIVATE))
            self.records = Records(self.private / "verified")
        except OSError as error:
            raise InfrastructureError(
                f"{directory} cannot be the cache: {error.strerror}",
                hint="name a directory that can be written with --out",
            ) from error

    def has_any(self, digests: Sequence[SourceDigest]) -> bool:
        """Return whether any of a file's names is there, verified or not."""
        return any((self.directory / digest.name).exists() for digest in digests)

    def check(
        self, digests: Sequence[SourceDigest], *, force: bool = False, repair: bool = False
    ) -> Verdict:
        """Return which of a file's names are there, and verify those that are not as recorded.

        `force` verifies all. `repair`, for the holder of the part's lock, removes what is wrong
        and gives a verified file those of its names that are missing.

        Raises:
            OSError: something that is no file, such as a link, or cannot be read, has one of the
                names.

        """
        good: list[SourceDigest] = []
        missing: list[SourceDigest] = []
        wrong: list[tuple[SourceDigest, str]] = []
        size = 0
        for digest in digests:
            path = self.directory / digest.name
            try:
                status = path.lstat()
            except FileNotFoundError:
                missing.append(digest)
                continue
            require_file(path, status)
            if force or not self.records.vouch(digest.name, status):
                got, status = _hash_file(path, digest.algorithm)
                if got != digest.hex:
                    wrong.append((digest, got))
                    missing.append(digest)
                    if repair:
                        path.unlink(missing_ok=True)
                    continue
                self.records.add(digest.name, status)
            good.append(digest)
            size = status.st_size
        if good and missing and repair:
            missing = [digest for digest in missing if not self._add_name(good[0], digest)]
        return Verdict(tuple(missing), size, tuple(wrong))

    def try_part(
        self, digests: Sequence[SourceDigest], directory: Path | None = None
    ) -> Part | None:
        """Lock the part of a file; None while another process holds it.

        In another `directory` of the same file system, it is nobody else's.

        Raises:
            OSError: the directory cannot be written, or the part is no ordinary file.

        """
        path = self._part_path(digests, directory)
        while (held := try_lock(path)) is not None:
            if (part := self._part(held, digests)) is not None:
                return part
        return None

    async def wait_for_part(self, digests: Sequence[SourceDigest]) -> Part:
        """Lock the part of a file as soon as no other process holds it.

        Raises:
            OSError: the directory cannot be written, or the part is no ordinary file.

        """
        path = self._part_path(digests)
        while True:
            if (part := self._part(await wait_for_lock(path), digests)) is not None:
                return part

    def _part_path(self, digests: Sequence[SourceDigest], directory: Path | None = None) -> Path:
        return (directory or self.directory) / f"{digests[0].name}{SUFFIX}"

    @staticmethod
    def _part(held: HeldLock, digests: Sequence[SourceDigest]) -> Part | None:
        if os.fstat(held.descriptor).st_nlink == 1:
            return Part(held, digests)
        # It is another file, too, which is not ours to write.
        held.path.unlink()
        held.release()
        return None

    def commit(self, part: Part, digests: Sequence[SourceDigest]) -> None:
        """Give a part, whose digests were compared, its names.

        Its bytes are on the disk before it has them; the names are, once the cache has settled.
        """
        part.sync()
        first, *others = digests
        for digest in others:
            durable.place(part.path, self.directory / digest.name)
        part.path.replace(self.directory / first.name)
        for digest in digests:
            self.records.add(digest.name, (self.directory / digest.name).stat())

    def settle(self) -> None:
        """Bring the names of all that was committed to the disk, once for all."""
        durable.sync(self.directory)

    def prune(self, keep: Iterable[str], *, dry_run: bool = False) -> list[RemovedEntry]:
        """Remove the files, and the parts that nobody writes, whose names are not in `keep`.

        What has another kind of name is nobody's business here. Returns what was removed.
        """
        kept = set(keep)
        removed: list[RemovedEntry] = []
        for path in sorted(self.directory.glob("*")):
            name = path.name.removesuffix(SUFFIX)
            if not is_cache_name(name) or name in kept or not path.is_file():
                continue
            with suppress(FileNotFoundError):
                held = try_lock(path) if path.name != name else None
                if path.name != name and held is None:
                    continue
                removed.append(RemovedEntry(path.name, path.stat().st_size))
                if not dry_run:
                    path.unlink()
                if held is not None:
                    held.release()
        return removed

    def names(self) -> list[str]:
        """List the verified files' names, sorted."""
        return sorted(
            entry.name
            for entry in os.scandir(self.directory)
            if is_cache_name(entry.name) and entry.is_file(follow_symlinks=False)
        )

    def try_lock(self, name: str) -> HeldLock | None:
        """Take a lock that other processes on this cache respect; None while one of them has it."""
        return try_lock(self._lock_path(name))

    async def wait_for_lock(self, name: str) -> HeldLock:
        """Take a lock that other processes on this cache respect, as soon as none of them has it."""
        return await wait_for_lock(self._lock_path(name))

    def _lock_path(self, name: str) -> Path:
        directory = make_directory(self.private, PurePath("locks"))
        # The name may be longer than a file's can be, and have slashes.
        return directory / hashlib.sha256(name.encode()).hexdigest()[:32]

    def _add_name(self, known: SourceDigest, digest: SourceDigest) -> bool:
        path = self.directory / known.name
        got, _ = _hash_file(path, digest.algorithm)
        if got != digest.hex:
            return False
        durable.place(path, self.directory / digest.name)
        durable.sync(self.directory)
        self.records.add(digest.name, (self.directory / digest.name).stat())
        return True


def _hash_file(path: Path, algorithm: str) -> tuple[str, os.stat_result]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        value = hashlib.new(algorithm)
        while block := file.read(BLOCK):
            value.update(block)
    return value.hexdigest(), status
