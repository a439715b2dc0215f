"""The packages of a store: how they come in, and how they are handed out."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from dag.core.package.apk import Apk, BrokenPackage
from dag.core.store.layout import blob_name
from dag.errors import InfrastructureError
from dag.io.package.apk import ReadApk
from dag.io.package.prover import PackageReader, copy_bytes, open_inside
from dag.io.store.objects import DirectoryObjects


@dataclass(frozen=True, slots=True)
class StagedApk:
    """The store's own copy of a package that is not a part of it yet."""

    path: Path
    read: ReadApk

    @property
    def apk(self) -> Apk:
        """Return what its reader said of it."""
        return self.read.apk


class Blobs:
    """The packages of a store, without their signatures, by their hashes."""

    def __init__(self, objects: DirectoryObjects, incoming: Path) -> None:
        """Take the objects of the store, and the directory of what is on its way in."""
        self.reader = PackageReader()
        self._objects = objects
        self._incoming = incoming

    def stage(self, directory: Path, path: PurePath) -> StagedApk:
        """Copy a package that a stranger wrote below `directory`, and read the copy.

        Raises:
            BrokenPackage: it is no package; the message names the file.
            FileNotFoundError: there is nothing.

        """
        copy = self._incoming / f"{secrets.token_hex(8)}.apk"
        try:
            with open_inside(directory, path) as source, copy.open("xb+", buffering=0) as file:
                copy_bytes(source, file.fileno())
                os.fsync(file.fileno())
                return StagedApk(copy, self._read(file.fileno(), path.name))
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
            self._objects.remove(name)
            self._objects.create_from(name, file.fileno(), begin=begin)

    def has(self, apk: Apk) -> bool:
        """Return whether a package is there, to all appearances."""
        return self._objects.size(blob_name(apk.sha256)) == apk.size

    def is_whole(self, digest: str) -> bool:
        """Return whether the blob with this SHA-256 is there and has it."""
        try:
            with self._objects.path(blob_name(digest)).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == digest
        except FileNotFoundError:
            return False

    def hand_out(self, apk: Apk, directory: Path) -> Path:
        """Copy a package into a directory under its name in a repository, and verify the copy.

        Raises:
            InfrastructureError: the store's own copy is damaged or gone.
            OSError: the disk is full, for example.

        """
        target = directory / apk.file
        name = blob_name(apk.sha256)
        try:
            with target.open("xb+", buffering=0) as file:
                self._objects.fetch(name, file.fileno())
                file.seek(0)
                if hashlib.file_digest(file, "sha256").hexdigest() == apk.sha256:
                    return target
            what = "is damaged"
        except FileNotFoundError:
            what = "is gone"
        raise InfrastructureError(
            f"{self._objects.path(name)}, which is {apk.name} {apk.version}, {what}",
            hint="`dag store verify --repair` removes what is damaged; then build again",
        )
