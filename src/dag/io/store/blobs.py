"""The packages of a store: how they come in, and how they are handed out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path, PurePath

from msgspec import Struct

from dag.core.limits import PACKAGE, PACKAGE_CACHE
from dag.core.package.apk import Apk, BrokenPackage
from dag.core.store.layout import BLOBS, blob_name, read_blob_name
from dag.errors import InfrastructureError
from dag.io.files import sha256_of
from dag.io.package.apk import ReadApk
from dag.io.package.prover import PackageReader, copy_bytes, open_inside
from dag.io.store.directory import DirectoryObjects
from dag.io.store.objects import Objects, insist

LOST_HINT = "`dag store verify --repair` removes what is damaged; then build again"


class LostBlob(InfrastructureError):
    """A package of a store is gone, or is not what its name says."""


class StagedApk(Struct, frozen=True):
    """The store's own copy of a package that is not a part of it yet."""

    path: Path
    read: ReadApk

    @property
    def apk(self) -> Apk:
        """Return what its reader said of it."""
        return self.read.apk


class Blobs:
    """The packages of a store, without their signatures, by their hashes."""

    def __init__(
        self, objects: Objects, incoming: Path, near: DirectoryObjects | None = None
    ) -> None:
        """Take the objects of the store, and the directory of what is on its way in.

        `near` keeps copies of those that come from far away, so that each comes once.
        """
        self.reader = PackageReader()
        self._objects = objects
        self._incoming = incoming
        self._near = near
        self._sizes: dict[str, int] = {}
        """The bytes of those that were listed, by their hashes."""

    def stage(self, directory: Path, path: PurePath) -> StagedApk:
        """Copy a package that a stranger wrote below `directory`, and read the copy.

        Raises:
            BrokenPackage: it is no package; the message names the file.
            FileNotFoundError: there is nothing.

        """
        with open_inside(directory, path) as source:
            return self.stage_file(source, path.name)

    def stage_file(self, source: int, name: str) -> StagedApk:
        """Copy a package that a stranger wrote from an open file, and read the copy.

        Raises:
            BrokenPackage: it is no package; the message names the file.

        """
        copy = self._incoming / f"{secrets.token_hex(8)}.apk"
        try:
            with copy.open("xb+", buffering=0) as file:
                copy_bytes(source, file.fileno())
                os.fsync(file.fileno())
                return StagedApk(copy, self._read(file.fileno(), name))
        except BaseException:
            copy.unlink(missing_ok=True)
            raise

    def read(self, directory: Path, path: PurePath) -> ReadApk:
        """Read a package below `directory` that nobody changes.

        Raises:
            BrokenPackage: it is no package; the message names the file.
            FileNotFoundError: there is nothing.

        """
        with open_inside(directory, path) as source:
            return self._read(source, path.name)

    def _read(self, file: int, name: str) -> ReadApk:
        try:
            return self.reader.read(file)
        except BrokenPackage as error:
            raise BrokenPackage(f"{name}: {error}") from error

    def compare(self, first: Apk, second: StagedApk) -> str:
        """Return, in words, the first member in which a package differs from that of the store.

        Raises:
            BrokenPackage: the data of one is no archive.
            OSError: the store's own cannot be read, or is not there.

        """
        name = blob_name(first.sha256)
        with (
            self._objects.opened(name, PACKAGE) as ours,
            second.path.open("rb", buffering=0) as its,
        ):
            if ours is None:
                raise FileNotFoundError(name)
            return self.reader.compare(ours, its.fileno())

    def discard(self, staged: Iterable[StagedApk]) -> None:
        """Remove copies that do not become a part of the store."""
        for one in staged:
            one.path.unlink(missing_ok=True)

    def keep(self, staged: StagedApk) -> None:
        """Make a blob of a staged package, unless it is there.

        Raises:
            OSError: there is no room, for example.

        """
        name = blob_name(staged.apk.sha256)
        with staged.path.open("rb", buffering=0) as file:
            begin = staged.read.signature
            if self._objects.create_from(name, file.fileno(), begin=begin):
                return
            if self.is_whole(staged.apk.sha256) and self._objects.renew(name):
                return
            # It is damaged, or somebody has just removed it.
            self._objects.delete(name)
            self._objects.create_from(name, file.fileno(), begin=begin)

    def trim(self) -> None:
        """Remove those copies that were not used for longest, if they take too much room."""
        room = PACKAGE_CACHE.most
        for one in sorted(self._near.list(BLOBS) if self._near else (), key=lambda one: one.age):
            room -= one.size
            if room < 0 and self._near is not None:
                self._near.delete(one.name)

    def learn(self) -> None:
        """Find out in one go which packages there are, where it would take long for each."""
        if self._objects.at_once > 1:
            found = ((read_blob_name(one.name), one.size) for one in self._objects.list(BLOBS))
            self._sizes = {digest: size for digest, size in found if digest is not None}

    def has(self, apk: Apk) -> bool:
        """Return whether a package is there, to all appearances."""
        if self._sizes.get(apk.sha256) == apk.size:
            return True
        found = self._objects.look(blob_name(apk.sha256))
        return found is not None and found.size == apk.size

    def is_whole(self, digest: str) -> bool:
        """Return whether the blob with this SHA-256 is there and has it."""
        try:
            with self._objects.opened(blob_name(digest), PACKAGE) as file:
                return file is not None and sha256_of(file) == digest
        except OSError:  # it is a link, for example
            return False

    def hand_out(self, apk: Apk, directory: Path) -> Path:
        """Copy a package into a directory under its name in a repository; see `fetch`."""
        target = directory / apk.file
        self.fetch(apk.sha256, target, what=f"{apk.name} {apk.version}")
        return target

    def fetch(self, digest: str, target: Path, *, what: str) -> None:
        """Copy the package with this SHA-256 to a file, and verify the copy; `what` names it.

        Raises:
            LostBlob: the store's own copy is damaged or gone.
            OSError: the disk is full, for example.

        """
        if self._near is not None and self._copy(self._near, digest, target) == digest:
            self._near.renew(blob_name(digest))
            return
        found = insist(lambda: self._copy(self._objects, digest, target))
        if found == digest:
            if self._near is not None:
                self._near.delete(blob_name(digest))
                with target.open("rb") as file:
                    self._near.create_from(blob_name(digest), file.fileno())
            return
        is_what = "is gone" if found is None else "is damaged"
        raise LostBlob(
            f"{self._objects.address(blob_name(digest))}, which is {what}, {is_what}",
            hint=LOST_HINT,
        )

    def _copy(self, objects: Objects, digest: str, target: Path) -> str | None:
        """Copy a blob to a file, and return the SHA-256 of the copy; None if it is not there."""
        if not objects.download(blob_name(digest), target, PACKAGE):
            return None
        with target.open("rb") as file:
            return sha256_of(file.fileno())
