"""Packages of repositories, each fetched once and verified by the checksum of its index.

They lie in the user's cache, by the checksums of their control sections, out of the reach of any
build's steps: a build gets names of its own for them.
"""

from __future__ import annotations

import binascii
import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

from dag.core.limits import PACKAGE_CACHE, REPOSITORY_PACKAGE
from dag.core.package.apk import Apk, BrokenPackage
from dag.core.package.apkindex import IndexEntry
from dag.core.web import redact, status_hint
from dag.errors import BuildError, InfrastructureError
from dag.io import durable
from dag.io.package.apk import ReadApk, read_apk
from dag.io.package.patience import Unreachable
from dag.io.usercache import user_cache

if TYPE_CHECKING:
    from dag.io.package.reach import Fetcher

_UNQUOTED = "/$&+,:;=@~"
"""What Go leaves as it is in the path of a URL."""
_TOGETHER = "together-"
"""How the names of directories begin that lead to all unpacked packages of some environment."""
_LOOKS = 64
"""How often it is looked how large all is while it is filled: each time all of it is listed."""
_DAY = 24 * 60 * 60
"""Seconds; no package is moved for so long."""


class WrongPackage(BuildError):
    """A repository serves something else than its index says."""


class PackageCache:
    """The packages that were fetched before. Several threads may use it at once."""

    def __init__(self, arch: str, fetcher: Fetcher | None, root: Path | None = None) -> None:
        """Take melange's name of the architecture, and what asks servers, if there are any."""
        self._arch = arch
        self._fetcher = fetcher
        self._root = root or user_cache("packages")
        self._unpacked = self._root.with_name(f"{self._root.name}-unpacked").absolute()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._proven: dict[Path, tuple[tuple[int, int, int], str]] = {}
        """File → what it was when it was proven in this run, and its SHA-256."""
        self._paths: dict[str, Path] = {}
        """The file of each package, by the checksum of its entry: to make a path takes long."""
        self._unseen = PACKAGE_CACHE.most
        """Bytes that came since it was looked whether all is too large."""
        self._is_trimmed = False
        self._used: set[str] = set()
        """The directories of unpacked packages that this run has used."""

    def bring(self, entry: IndexEntry) -> Path:
        """Return the file of a package, fetched if need be.

        Raises:
            WrongPackage: the repository has something else in its place.
            InfrastructureError: it cannot be fetched, or kept.

        """
        path = self._path(entry)
        with self._locks[path.name]:
            try:
                if not self._is_proven(path, entry):
                    self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
                    self._fetch(path, entry)
            except OSError as error:
                raise InfrastructureError(
                    f"{self._root} cannot be used: {error.strerror or error}",
                    hint="$XDG_CACHE_HOME names another place for it",
                ) from error
        return path

    def at_hand(self, entry: IndexEntry) -> Path | None:
        """Return the file of a package that was proven in this run, if it is still the same file."""
        path = self._path(entry)
        known = self._proven.get(path)
        with contextlib.suppress(FileNotFoundError):
            if known is not None and known[0] == _state_of(path):
                return path
        return None

    def _path(self, entry: IndexEntry) -> Path:
        path = self._paths.get(entry.checksum)
        if path is None:
            path = self._paths[entry.checksum] = self._root / f"{_hexadecimal(entry)}.apk"
        return path

    def lead_to_unpacked(
        self, directory: Path, served: Mapping[Path, Sequence[IndexEntry]]
    ) -> None:
        """Make a directory in which melange finds what other builds have unpacked.

        That is where it keeps unpacked packages (--apk-cache-dir): below the URL of the repository,
        by name and version, in files that are named by their hashes (apko 1.2.21,
        pkg/apk/apk/cache.go: cachePathFromURL). `served` are the repositories of a build with their
        packages. They are of this build alone, so nothing would ever be found there again.

        Raises:
            OSError: the disk is full, or cannot be written for another reason.

        """
        with self._locks[self._unpacked.name]:
            if not self._is_trimmed:
                self._unpacked.mkdir(parents=True, exist_ok=True, mode=0o700)
                _trim(self._unpacked)
                self._is_trimmed = True
        for repository, entries in served.items():
            place = self._unpacked_at(directory, repository)
            names = {f"{one.name}-{one.version}": _hexadecimal(one) for one in entries}
            known = {name: one for name, one in names.items() if self._is_unpacked(one)}
            if len(known) == len(names):
                directory.mkdir(exist_ok=True)
                place.parent.symlink_to(self._together(known))
                continue
            place.mkdir(parents=True)
            for name, one in known.items():
                os.symlink(f"{self._unpacked}/{one}", f"{place}/{name}")  # noqa: PTH211

    def _is_unpacked(self, name: str) -> bool:
        path = f"{self._unpacked}/{name}"
        if not os.path.isdir(path):  # noqa: PTH112  # Path is slow, and these are many
            return False
        if name not in self._used:
            os.utime(path)  # what was not used for long goes
            self._used.add(name)
        return True

    def _together(self, known: Mapping[str, str]) -> Path:
        """Return a directory that has for the architecture links to unpacked packages, by their names.

        All builds have it that install just these, and none writes there.
        """
        text = "".join(f"{name} {one}\n" for name, one in known.items())
        place = self._unpacked / f"{_TOGETHER}{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        with contextlib.suppress(FileNotFoundError):
            os.utime(place)  # what was not used for long goes
            return place
        made = Path(tempfile.mkdtemp(dir=self._unpacked, prefix=durable.TEMPORARY))
        (made / self._arch).mkdir()
        for name, one in known.items():
            (made / self._arch / name).symlink_to(f"../../{one}")
        try:
            made.rename(place)
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
            if not place.is_dir():  # nobody else has made it meanwhile
                raise
        return place

    def keep_unpacked(self, directory: Path, served: Mapping[Path, Sequence[IndexEntry]]) -> None:
        """Keep what a build that has ended well has unpacked itself; another may have done so, too.

        No two of them write in one place, so that none sees what is not finished.
        """
        for repository, entries in served.items():
            place = self._unpacked_at(directory, repository)
            if place.parent.is_symlink():  # all was known
                continue
            for entry in entries:
                name = f"{place}/{entry.name}-{entry.version}"
                if os.path.islink(name):  # noqa: PTH114
                    continue
                own, kept = Path(name), self._unpacked / _hexadecimal(entry)
                if kept.is_dir() or not any(own.glob("*.dat.tar")):
                    continue
                with contextlib.suppress(OSError):  # it is there now, or the disk is full
                    _move(own, kept)

    def _unpacked_at(self, directory: Path, repository: Path) -> Path:
        url = f"file://{quote(os.fsencode(repository.absolute()), safe=_UNQUOTED)}"
        return directory / quote_plus(url) / self._arch

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a package that `bring` has returned, in hexadecimal digits."""
        return self._proven[path][1]

    def _is_proven(self, path: Path, entry: IndexEntry) -> bool:
        """Return whether the file is there, and is what it was, or is seen to be the package."""
        if self.at_hand(entry) is not None:
            return True
        try:
            apk = _read(path).apk
        except (BrokenPackage, FileNotFoundError):
            return False
        if _fault(apk, entry):
            return False
        os.utime(path)  # what was not used for long goes
        self._proven[path] = (_state_of(path), apk.sha256)
        return True

    def _fetch(self, path: Path, entry: IndexEntry) -> None:
        where = self._place(entry)
        shown = redact(where)
        temporary = path.with_name(f"{durable.TEMPORARY}{path.name}.{os.getpid()}")
        try:
            if "://" in where:
                self._download(where, temporary)
            else:
                shutil.copyfile(where, temporary)
            try:
                apk = _read(temporary).apk
                fault = _fault(apk, entry)
            except BrokenPackage as error:
                fault = str(error)
            if fault:
                raise WrongPackage(
                    f"{shown} is not what the index of {redact(entry.repository)} says of"
                    f" {entry.name} {entry.version}: {fault}",
                    hint="if the repository is being changed, try again later; else its owner must"
                    " make its index anew",
                )
            temporary.chmod(0o444)
            temporary.replace(path)
            self._proven[path] = (_state_of(path), apk.sha256)
            self._unseen += apk.size
            if self._unseen > PACKAGE_CACHE.most / _LOOKS:
                self._unseen = 0
                self._make_room(path)
        except FileNotFoundError as error:
            raise WrongPackage(
                f"{shown} is not there, although the index lists it",
                hint="the repository's owner must make its index anew",
            ) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _place(self, entry: IndexEntry) -> str:
        below = f"{self._arch}/{entry.name}-{entry.version}.apk"
        if "://" not in entry.repository:
            return f"{entry.repository}/{below}"
        parts = urlsplit(entry.repository)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{below}"))

    def _download(self, url: str, target: Path) -> None:
        if self._fetcher is None:
            raise InfrastructureError(f"{redact(url)} is not asked")
        try:
            with target.open("w+b") as file:
                status, _ = self._fetcher.save(url, file, REPOSITORY_PACKAGE)
        except Unreachable as error:
            raise InfrastructureError(f"{redact(url)} cannot be read: {error}") from error
        if status == 404:
            raise FileNotFoundError(url)
        if status != 200:
            raise InfrastructureError(
                f"{redact(url)} answered with HTTP {status}", hint=status_hint(url, status)
            )

    def _make_room(self, newest: Path) -> None:
        """Remove what was not used for the longest time, if all is too large."""
        files = sorted(
            ((path, path.stat()) for path in self._root.glob("*.apk")),
            key=lambda one: one[1].st_mtime,
        )
        size = sum(status.st_size for _, status in files)
        for path, status in files:
            if size <= PACKAGE_CACHE.most:
                return
            if path != newest and path not in self._proven:
                path.unlink(missing_ok=True)
                size -= status.st_size


def _hexadecimal(entry: IndexEntry) -> str:
    return binascii.a2b_base64(entry.checksum[2:]).hex()


def _state_of(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)  # noqa: PTH116  # this is asked often
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path) -> ReadApk:
    with path.open("rb") as file:
        return read_apk(file)


def _fault(apk: Apk, entry: IndexEntry) -> str | None:
    """Return why a package is not the one that an index lists; None if it is."""
    checksum = apk.stanza.partition("\n")[0].removeprefix("C:")
    if checksum != entry.checksum:
        return f"its checksum is {checksum}, not {entry.checksum}"
    if (apk.name, apk.version) != (entry.name, entry.version):
        return f"it says that it is {apk.name} {apk.version}"
    return None


def _move(source: Path, target: Path) -> None:
    """Move a directory, also to another file system, so that the target is there as a whole."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=durable.TEMPORARY) as directory:
            copy = Path(directory) / target.name
            shutil.copytree(source, copy, symlinks=True)
            copy.rename(target)


def _trim(unpacked: Path) -> None:
    """Remove what was unpacked longest ago, if all is too large, and what a dead process left."""
    found = []
    for directory in unpacked.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process has removed it meanwhile
            changed = directory.stat().st_mtime
            if directory.name.startswith((durable.TEMPORARY, _TOGETHER)):
                if changed < time.time() - _DAY:
                    shutil.rmtree(directory, ignore_errors=True)
                continue
            size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
            found.append((changed, size, directory))
    size = sum(one for _, one, _ in found)
    for _, own, directory in sorted(found):
        if size <= PACKAGE_CACHE.most:
            return
        shutil.rmtree(directory, ignore_errors=True)
        size -= own
