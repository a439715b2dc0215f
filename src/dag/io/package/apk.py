"""Reading a built package: gzip streams with a signature, the control section and the data."""

from __future__ import annotations

import base64
import hashlib
import stat
import zlib
from pathlib import Path
from typing import BinaryIO

from dag.core.arch import Arch
from dag.core.limits import PACKAGE_CONTROL, PACKAGE_MEMBERS, TooLarge
from dag.core.package.apk import Apk, BrokenPackage, describe, read_pkginfo
from dag.core.package.model import Package
from dag.core.tar import BrokenArchive, TarReader
from dag.io.archives import reader_of

_CHUNK = 1 << 20


def read_apk(path: Path) -> Apk:
    """Return a package, proven to be whole: its data has the hash that .PKGINFO promises.

    Raises:
        BrokenPackage: it is not an apk, or only a part of one.
        OSError: the file cannot be read.

    """
    with path.open("rb") as file:
        whole = hashlib.sha256()
        reader = _Reader(file, whole)
        first, unpacked = reader.stream()
        if next(iter(unpacked), "").startswith(".SIGN."):
            first, unpacked = reader.stream()
        if ".PKGINFO" not in unpacked:
            raise BrokenPackage("its control section has no .PKGINFO")
        try:
            info = read_pkginfo(unpacked[".PKGINFO"].decode())
        except UnicodeDecodeError as error:
            raise BrokenPackage(".PKGINFO is not UTF-8") from error
        promised = info.get("datahash", [""])[-1]
        found = reader.rest()
        if found != promised:
            raise BrokenPackage(f"its data has the SHA-256 {found}, but .PKGINFO says {promised}")
        # The format demands SHA-1 (`C:Q1…`), and it guards nothing here.
        control = base64.b64encode(hashlib.sha1(first, usedforsecurity=False).digest()).decode()
        return describe(
            info, checksum=f"Q1{control}", sha256=whole.hexdigest(), size=path.stat().st_size
        )


def read_proven(path: Path, name: str, package: Package, arch: Arch) -> Apk:
    """Return a package, proven to be the one that `package` calls `name`, for this architecture.

    Raises:
        BrokenPackage: it is not a file, not whole, or another package.
        OSError: the file cannot be read, or is not there.

    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise BrokenPackage(f"{path.name} is not an ordinary file")
    try:
        apk = read_apk(path)
    except BrokenPackage as error:
        raise BrokenPackage(f"{path.name}: {error}") from error
    wanted = (name, package.full_version, package.name)
    if (apk.name, apk.version, apk.origin) != wanted or apk.arch not in (arch.apk, "noarch"):
        raise BrokenPackage(
            f"{path.name} says that it is {apk.name} {apk.version} of {apk.origin} for {apk.arch}"
        )
    return apk


class _Reader:
    def __init__(self, file: BinaryIO, whole: hashlib._Hash) -> None:
        self._file = file
        self._whole = whole
        self._left = b""

    def _read(self) -> bytes:
        if self._left:
            chunk, self._left = self._left, b""
            return chunk
        chunk = self._file.read(_CHUNK)
        self._whole.update(chunk)
        return chunk

    def stream(self) -> tuple[bytes, dict[str, bytes]]:
        """Return the bytes of one gzip stream as they are stored, and the files of the tar in it."""
        unzip = zlib.decompressobj(31)
        stored, data = [], []
        size = 0
        while not unzip.eof:
            chunk = self._read()
            if not chunk:
                raise BrokenPackage("it ends too early")
            try:
                data.append(unzip.decompress(chunk, PACKAGE_CONTROL.most))
            except zlib.error as error:
                raise BrokenPackage(f"it is not gzip: {error}") from error
            size += len(data[-1])
            if unzip.unconsumed_tail or size > PACKAGE_CONTROL.most:
                raise BrokenPackage(f"its control section has more than {PACKAGE_CONTROL}")
            self._left = unzip.unused_data
            stored.append(chunk[: len(chunk) - len(self._left)])
        return b"".join(stored), _members(b"".join(data))

    def rest(self) -> str:
        """Read to the end; return the SHA-256 of what was left, in hexadecimal digits."""
        digest = hashlib.sha256()
        while chunk := self._read():
            digest.update(chunk)
        return digest.hexdigest()


def _members(data: bytes) -> dict[str, bytes]:
    # Signature and control are tars without the two empty blocks at the end.
    members: dict[str, bytes] = {}
    archive = TarReader(reader_of([data]), PACKAGE_MEMBERS, "its control section")
    try:
        for member in archive:
            members[member.name] = b"".join(archive.blocks()) if member.is_file else b""
    except (BrokenArchive, TooLarge) as error:
        raise BrokenPackage(f"its control section is no tar: {error}") from error
    return members
