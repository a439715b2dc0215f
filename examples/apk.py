"""Packages of apk that are made of files in memory, and an index of them.

The format is that of https://wiki.alpinelinux.org/wiki/Apk_spec. The same call writes the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cluster import parts
from cluster.system import run


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file, a symbolic link or a directory of a package."""

    path: str
    """The path in the package, without a slash at the beginning."""
    mode: int
    data: bytes = b""
    target: str = ""
    """Where it leads, if it is a symbolic link."""
    is_directory: bool = False

    @classmethod
    def link(cls, path: str, target: str) -> Entry:
        """Return a symbolic link."""
        return cls(path=path, mode=0o777, target=target)

    @classmethod
    def directory(cls, path: str, mode: int = 0o755) -> Entry:
        """Return a directory."""
        return cls(path=path, mode=mode, is_directory=True)


def pack(
    name: str,
    version: str,
    entries: Iterable[Entry],
    *,
    architecture: str,
    description: str,
    needs: Iterable[str] = (),
    provides: Iterable[str] = (),
    level: int = 6,
) -> bytes:
    """Return an unsigned package; directories above the entries are added to it.

    The first gzip stream has .PKGINFO, without the blocks that end an archive; the second has the
    files. `level` is how hard gzip tries. The package names no origin, because apko lets packages
    of one origin replace each other's files.
    """
    members = _with_parents(entries)
    files = gzip.compress(_tar(members), compresslevel=level, mtime=0)
    lines = [
        f"pkgname = {name}",
        f"pkgver = {version}",
        f"arch = {architecture}",
        f"size = {sum(len(entry.data) for entry in members)}",
        f"pkgdesc = {description}",
        *(f"depend = {need}" for need in needs),
        *(f"provides = {provided}" for provided in provides),
        f"datahash = {hashlib.sha256(files).hexdigest()}",
    ]
    info = "".join(f"{line}\n" for line in lines).encode()
    control = _tar([Entry(path=".PKGINFO", mode=0o644, data=info)])
    # The last line does not end in a zero, so all zeros after it are padding and the end.
    whole = -(-len(control.rstrip(b"\0")) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return gzip.compress(control[:whole], compresslevel=level, mtime=0) + files


def write_index(directory: Path, key: Path) -> None:
    """Write the APKINDEX of the packages in `directory`, signed with the private `key`."""
    index = directory / "APKINDEX.tar.gz"
    packages = sorted(directory.glob("*.apk"))
    melange = parts.build("melange") / "melange"
    run(melange, "index", "-o", index, "--signing-key", key, *packages)


def _with_parents(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries and the directories above them; a directory comes before what is in it."""
    found = {entry.path: entry for entry in entries}
    above = {str(parent) for path in found for parent in PurePosixPath(path).parents} - {"."}
    found |= {path: Entry.directory(path) for path in above - found.keys()}
    return [found[path] for path in sorted(found)]


def _tar(entries: Sequence[Entry]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            member = tarfile.TarInfo(entry.path)
            member.mode, member.size = entry.mode, len(entry.data)
            if entry.is_directory:
                member.type = tarfile.DIRTYPE
            elif entry.target:
                member.type, member.linkname = tarfile.SYMTYPE, entry.target
            if not entry.is_directory and not entry.path.startswith("."):
                digest = hashlib.sha1(entry.target.encode() or entry.data, usedforsecurity=False)
                member.pax_headers = {"APK-TOOLS.checksum.SHA1": digest.hexdigest()}
            tar.addfile(member, io.BytesIO(entry.data))
    return out.getvalue()
