"""The cache directory: a file has its final name only after its bytes were verified.

```
sha256:HEX, sha512:HEX   verified files, under the names that melange's `fetch` step looks for
sha256:HEX.part          what has come of a file so far; whoever writes it holds a lock on it
git/HOST/…/REPO.git      see dag.io.sources.git.cache
.dag/verified            size, mtime and inode of each file when it was last verified
```

Several processes may use one directory: a part has one writer, a final name appears by rename, and
a record that is lost costs only another look at the file.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dag.core.sources.downloads import Digest, is_cache_name
from dag.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BLOCK = 1 << 20
"""Bytes read, hashed and written at once: enough that Python's share of the work is small."""
PRIVATE = ".dag"
PART = ".part"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file is the one that was verified."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Take the stamp from what stat says."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class Records:
    """Which files were verified, by name: lines that are only ever appended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamps: dict[str, Stamp] = {}
        lines = 0
        with suppress(FileNotFoundError):
            _require_file(path, path.stat())
            for line in path.read_bytes().splitlines():
                lines += 1
                # A line may be half written, or by a later version: then it vouches for nothing.
                with suppress(ValueError, TypeError, OverflowError, RecursionError):
                    name, *numbers = json.loads(line)
                    self._stamps[str(name)] = Stamp(*map(int, numbers))
        if lines > 2 * len(self._stamps) + 1000:
            self._compact()

    def vouch(self, name: str, status: os.stat_result) -> bool:
        """Say whether the file is as it was when it was verified."""
        return self._stamps.get(name) == Stamp.of(status)

    def add(self, name: str, status: os.stat_result) -> None:
        """Remember that the file was verified as it is now."""
        stamp = Stamp.of(status)
        with self._lock:
            if self._stamps.get(name) == stamp:
                return
            self._stamps[name] = stamp
            with self._path.open("ab") as file:
                file.write(self._line(name, stamp))

    def _compact(self) -> None:
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        temporary.write_bytes(b"".join(self._line(*item) for item in self._stamps.items()))
        temporary.rename(self._path)

    @staticmethod
    def _line(name: str, stamp: Stamp) -> bytes:
        return json.dumps([name, stamp.size, stamp.mtime_ns, stamp.inode]).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is there of a file that should have certain digests."""

    missing: tuple[Digest, ...]
    size: int = 0
    """Of the verified file, in bytes."""
    wrong: tuple[tuple[Digest, str], ...] = ()
    """Files that were there under a name that is not theirs, with the hex digest they have."""


class Part:
    """The beginning of a file, hashed as far as it goes. Only the holder of its lock has one."""

    def __init__(self, path: Path, descriptor: int, digests: Sequence[Digest]) -> None:
        self.path = path
        self.size = 0
        """Bytes that are written and hashed."""
        self._descriptor = descriptor
        self._digests = tuple(digests)
        self._hashes = [hashlib.new(digest.algorithm) for digest in digests]

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

    def mismatch(self) -> tuple[Digest, str] | None:
        """Compare the digests; the first that is wrong comes with the hex that it should be."""
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
        os.close(self._descriptor)

    def _start(self) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = 0
        self._hashes = [hashlib.new(digest.algorithm) for digest in self._digests]

    def _hash(self, data: bytes | bytearray) -> None:
        for value in self._hashes:
            value.update(data)
        self.size += len(data)


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
                self.private.mkdir(parents=True, exist_ok=True)
            self.records = Records(self.private / "verified")
        except OSError as error:
            raise InfrastructureError(
                f"{directory} cannot be the cache: {error.strerror}",
                hint="name a directory that can be written with --out",
            ) from error

    def has_any(self, digests: Sequence[Digest]) -> bool:
        """Say whether any of a file's names is there, verified or not."""
        return any((self.directory / digest.name).exists() for digest in digests)

    def check(
        self, digests: Sequence[Digest], *, force: bool = False, repair: bool = False
    ) -> Verdict:
        """See which of a file's names are there, and verify those that are not as recorded.

        `force` verifies all. `repair`, for the holder of the part's lock, removes what is wrong
        and gives a verified file those of its names that are missing.

        Raises:
            OSError: something that is no file, or cannot be read, has one of the names.

        """
        good: list[Digest] = []
        missing: list[Digest] = []
        wrong: list[tuple[Digest, str]] = []
        size = 0
        for digest in digests:
            path = self.directory / digest.name
            try:
                status = path.stat()
            except FileNotFoundError:
                missing.append(digest)
                continue
            _require_file(path, status)
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
            missing = [digest for digest in missing if not self._name_too(good[0], digest)]
        return Verdict(tuple(missing), size, tuple(wrong))

    def part(self, digests: Sequence[Digest], directory: Path | None = None) -> Part | None:
        """Lock the part of a file; None while another process holds it.

        In another `directory` of the same file system, it is nobody else's.

        Raises:
            OSError: the directory cannot be written, or the part is no ordinary file.

        """
        path = (directory or self.directory) / f"{digests[0].name}{PART}"
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The one who had the lock may have renamed or removed the file: then the lock is
                # one on something that nobody will look at again.
                status = os.fstat(descriptor)
                _require_file(path, status)
                if path.stat().st_ino == status.st_ino:
                    if status.st_nlink == 1:
                        return Part(path, descriptor, digests)
                    path.unlink()  # another file, too: that one is not ours to write
            except BlockingIOError:
                os.close(descriptor)
                return None
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def commit(self, part: Part, digests: Sequence[Digest]) -> None:
        """Give a part, whose digests were compared, its names, durably."""
        part.sync()
        first, *others = digests
        for digest in others:
            self._link(part.path, digest)
        part.path.rename(self.directory / first.name)
        self._sync_directory()
        for digest in digests:
            self.records.add(digest.name, (self.directory / digest.name).stat())

    def prune(self, keep: Iterable[str], *, dry_run: bool = False) -> list[tuple[str, int]]:
        """Remove the files, and the parts that nobody writes, whose names are not in `keep`.

        What has another kind of name is nobody's business here. Returns names and sizes in bytes.
        """
        kept = set(keep)
        removed: list[tuple[str, int]] = []
        for path in sorted(self.directory.glob("*")):
            name = path.name.removesuffix(PART)
            if not is_cache_name(name) or name in kept or not path.is_file():
                continue
            with suppress(FileNotFoundError):
                if path.name != name and _is_locked(path):
                    continue
                removed.append((path.name, path.stat().st_size))
                if not dry_run:
                    path.unlink()
        return removed

    def names(self) -> list[str]:
        """List the verified files' names, sorted."""
        return sorted(
            entry.name
            for entry in os.scandir(self.directory)
            if is_cache_name(entry.name) and entry.is_file()
        )

    def hold(self, name: str) -> int | None:
        """Take a lock that other processes on this cache respect; None while one of them has it.

        The descriptor that is returned holds the lock until it is closed.
        """
        directory = self.private / "locks"
        directory.mkdir(exist_ok=True)
        # The name may be longer than a file's can be, and have slashes.
        path = directory / hashlib.sha256(name.encode()).hexdigest()[:32]
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _name_too(self, known: Digest, digest: Digest) -> bool:
        path = self.directory / known.name
        got, _ = _hash_file(path, digest.algorithm)
        if got != digest.hex:
            return False
        self._link(path, digest)
        self._sync_directory()
        self.records.add(digest.name, (self.directory / digest.name).stat())
        return True

    def _link(self, path: Path, digest: Digest) -> None:
        temporary = self.private / f"{digest.name}.{os.getpid()}.{threading.get_ident()}"
        temporary.unlink(missing_ok=True)
        try:
            os.link(path, temporary)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise
            # Some file systems have no hard links.
            shutil.copyfile(path, temporary)
            with temporary.open("rb+") as file:
                os.fsync(file)
        temporary.rename(self.directory / digest.name)

    def _sync_directory(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _require_file(path: Path, status: os.stat_result) -> None:
    # A pipe would be waited for without end.
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "this is no ordinary file", str(path))


def _hash_file(path: Path, algorithm: str) -> tuple[str, os.stat_result]:
    with path.open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        value = hashlib.new(algorithm)
        while block := file.read(BLOCK):
            value.update(block)
    return value.hexdigest(), status


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
