"""Small packages that are made by hand, for tests without melange."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from pathlib import Path

from dag.core.package.apk import Apk
from dag.io.package.apk import read_apk


def make_apk(
    path: Path,
    name: str,
    version: str = "1-r0",
    *,
    arch: str = "x86_64",
    origin: str | None = None,
    depends: tuple[str, ...] = (),
    provides: tuple[str, ...] = (),
    data: bytes = b"data",
    more: tuple[str, ...] = (),
) -> Path:
    """Write an unsigned package with one file, and `more` lines in its .PKGINFO."""
    payload = gzip.compress(_tar({"usr/share/data": data}), mtime=0)
    lines = [
        f"pkgname = {name}",
        f"pkgver = {version}",
        f"arch = {arch}",
        "size = 4",
        f"origin = {origin or name}",
        "pkgdesc = made by hand",
        *(f"depend = {text}" for text in depends),
        *(f"provides = {text}" for text in provides),
        *more,
        f"datahash = {hashlib.sha256(payload).hexdigest()}",
    ]
    control = _tar({".PKGINFO": "\n".join(lines).encode()})
    # A control section has no end-of-archive blocks, so that both streams read as one tar archive.
    path.write_bytes(gzip.compress(control[:-1024], mtime=0) + payload)
    return path


def told(name: str, version: str = "1-r0", *, sha256: str, origin: str = "") -> Apk:
    """Return what is said of a package that is nowhere."""
    return Apk(
        name=name,
        version=version,
        arch="x86_64",
        origin=origin or name,
        depends=(),
        provides=(),
        installed_size=1,
        data_hash="0" * 64,
        sha256=sha256,
        size=1,
        stanza=f"P:{name}\nV:{version}\n",
    )


def read(path: Path) -> Apk:
    """Return what a package says of itself, read in this process."""
    with path.open("rb") as file:
        return read_apk(file).apk


def file_in(path: Path, name: str) -> bytes:
    """Return what is in a file of a package."""
    data = io.BytesIO(gzip.decompress(path.read_bytes()))
    with tarfile.open(fileobj=data, ignore_zeros=True) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def write_index(directory: Path, versions: dict[str, str]) -> None:
    """Write the index of a repository that has packages of these versions, by name."""
    directory.mkdir(parents=True)
    text = "\n".join(f"P:{name}\nV:{version}\nA:x86_64\n" for name, version in versions.items())
    archive = gzip.compress(_tar({"APKINDEX": f"{text}\n".encode()}), mtime=0)
    (directory / "APKINDEX.tar.gz").write_bytes(archive)


def gzip_members(data: bytes) -> list[bytes]:
    """Return the gzip members that follow each other, as they are; a signature may look like one."""
    members = []
    while data:
        unpacker = zlib.decompressobj(31)
        unpacker.decompress(data)
        members.append(data[: len(data) - len(unpacker.unused_data)])
        data = unpacker.unused_data
    return members


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    # tarfile pads to 10,240 bytes; two empty blocks are the end of an archive.
    blocks = out.getvalue()
    size = sum(512 + -(-len(data) // 512) * 512 for data in files.values())
    return blocks[: size + 1024]
