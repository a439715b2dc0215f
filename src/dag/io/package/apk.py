"""Reading a built package: gzip streams with a signature, the control section and the data.

Whoever built it may want to harm its reader; so `dag.io.package.prover` reads in another process.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from dag.core.limits import PACKAGE_CONTROL, PACKAGE_INFO, PACKAGE_MEMBERS, TooLarge
from dag.core.package.apk import Apk, BrokenPackage, describe, read_pkginfo
from dag.core.tar import BrokenArchive, TarReader
from dag.io.archives import reader_of

_CHUNK = 1 << 20
_SIGNATURE = ".SIGN."


class ReadApk(Struct, frozen=True):
    """A package in a file."""

    apk: Apk
    signature: int
    """The bytes of the signature with which the file begins; 0 if it has none."""


def read_apk(file: BinaryIO) -> ReadApk:
    """Return the package in a file, proven to be whole: its data has the hash that .PKGINFO promises.

    Raises:
        BrokenPackage: it is not an apk, only a part of one, or has more in it than an apk.
        OSError: the file cannot be read.

    """
    sections = _Sections(file)
    members = sections.read()
    signature = 0
    if next(iter(members), "").startswith(_SIGNATURE):
        if not all(name.startswith(_SIGNATURE) for name in members):
            raise BrokenPackage("its signature section has something else in it")
        signature = sections.begin_package()
        members = sections.read()
    if ".PKGINFO" not in members:
        raise BrokenPackage("its control section has no .PKGINFO")
    try:
        info = read_pkginfo(members[".PKGINFO"].decode())
    except UnicodeDecodeError as error:
        raise BrokenPackage(".PKGINFO is not UTF-8") from error
    checksum, size = sections.checksum, sections.size
    data = sections.rest()
    promised = info.get("datahash", [""])[0]
    if data.hexdigest() != promised:
        raise BrokenPackage(
            f"its data has the SHA-256 {data.hexdigest()}, but .PKGINFO says {promised}"
        )
    if sections.size == size:
        raise BrokenPackage("it has no data section")
    apk = describe(info, checksum=checksum, sha256=sections.sha256, size=sections.size)
    return ReadApk(apk, signature)


def data_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the data section of a package in pieces, packed as it is.

    Raises:
        BrokenPackage: what stands before it is not of an apk.
        OSError: the file cannot be read.

    """
    sections = _Sections(file)
    if next(iter(sections.read()), "").startswith(_SIGNATURE):
        sections.read()
    yield from sections.pieces()


class _Sections:
    """The sections of a package, each a gzip stream with a tar in it, one after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = b""
        self._whole = hashlib.sha256()
        self._section = hashlib.sha1(usedforsecurity=False)
        self.size = 0

    def begin_package(self) -> int:
        """Let the package begin with the next section; return the bytes before it."""
        before, self.size = self.size, 0
        self._whole = hashlib.sha256()
        return before

    @property
    def sha256(self) -> str:
        """Return the hash of the package as far as it is read."""
        return self._whole.hexdigest()

    @property
    def checksum(self) -> str:
        """Return the `C:` that an index has for the latest section."""
        return f"Q1{base64.b64encode(self._section.digest()).decode()}"

    def read(self) -> dict[str, bytes]:
        """Return the members of the next section; only .PKGINFO has its bytes.

        Raises:
            BrokenPackage: it is no tar of ordinary files, each there once, or too large.

        """
        # The format demands SHA-1 (`C:Q1…`), and it guards nothing here.
        self._section = hashlib.sha1(usedforsecurity=False)
        members: dict[str, bytes] = {}
        read = reader_of(self._unpack())
        archive = TarReader(read, PACKAGE_MEMBERS, "its control section")
        try:
            for member in archive:
                if not member.is_file or member.has_attributes:
                    raise BrokenPackage(f"its control section has a strange member {member.name!r}")
                if member.name in members:
                    raise BrokenPackage(f"its control section has {member.name!r} twice")
                wanted = member.name == ".PKGINFO"
                if wanted:
                    PACKAGE_INFO.check(member.size, "it")
                members[member.name] = b"".join(archive.blocks()) if wanted else b""
        except (BrokenArchive, TooLarge) as error:
            raise BrokenPackage(f"its control section is no tar: {error}") from error
        # Other readers may take for members what is behind the end of the archive.
        while rest := read(_CHUNK):
            if any(rest):
                raise BrokenPackage("its control section goes on behind its end")
        return members

    def _unpack(self) -> Iterator[bytes]:
        unzip = zlib.decompressobj(31)
        size = 0
        while not unzip.eof:
            chunk = self._left or self._file.read(_CHUNK)
            if not chunk:
                raise BrokenPackage("it ends too early")
            try:
                data = unzip.decompress(chunk, PACKAGE_CONTROL.most)
            except zlib.error as error:
                raise BrokenPackage(f"it is not gzip: {error}") from error
            size += len(data)
            if unzip.unconsumed_tail or size > PACKAGE_CONTROL.most:
                raise BrokenPackage(f"its control section has more than {PACKAGE_CONTROL}")
            self._left = unzip.unused_data
            packed = memoryview(chunk)[: len(chunk) - len(self._left)]
            self._section.update(packed)
            self._take(packed)
            yield data

    def rest(self) -> hashlib._Hash:
        """Read to the end; return the SHA-256 of what was left."""
        digest = hashlib.sha256()
        for chunk in self.pieces():
            digest.update(chunk)
        return digest

    def pieces(self) -> Iterator[bytes]:
        """Yield what is left, as it is packed."""
        while chunk := self._left or self._file.read(_CHUNK):
            self._left = b""
            self._take(chunk)
            yield chunk

    def _take(self, packed: bytes | memoryview) -> None:
        self._whole.update(packed)
        self.size += len(packed)
