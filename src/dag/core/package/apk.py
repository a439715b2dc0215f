"""Built packages: the .PKGINFO of one, and the index that lists many.

The formats as apko 1.2.21 reads and writes them (`pkg/apk/types/package.go`, `apkindex.go`):
https://wiki.alpinelinux.org/wiki/Apk_spec
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from dag.core.package.apkindex import Entry

_REPEATED = {"depend": "D", "install_if": "i", "provides": "p"}
_FIELDS = {
    # .PKGINFO: the index's letter, in the order in which apko writes them.
    "pkgname": "P",
    "pkgver": "V",
    "arch": "A",
    "size": "I",
    "pkgdesc": "T",
    "url": "U",
    "license": "L",
    "origin": "o",
    "maintainer": "m",
    "builddate": "t",
    "commit": "c",
    "depend": "D",
    "install_if": "i",
    "provides": "p",
    "provider_priority": "k",
}
_ZERO_IS_NOTHING = frozenset({"size", "provider_priority"})


class BrokenPackage(ValueError):
    """A file that is not an apk, or only half of one; the message does not name the file."""


PathPart = Annotated[str, Meta(pattern=r"^[^/\x00]{1,250}\Z")]
"""A text that is a part of a file's name; a record that is read must not lead anywhere else."""


@dataclass(frozen=True, slots=True)
class Apk:
    """One built package, as its own file describes it."""

    name: PathPart
    version: PathPart
    """`VERSION-rEPOCH`."""
    arch: str
    origin: str
    depends: tuple[str, ...]
    provides: tuple[str, ...]
    sha256: str
    """The hash of the whole file, in hexadecimal digits."""
    size: int
    """The size of the file, in bytes."""
    stanza: str
    """Its lines in APKINDEX, without the empty line that ends them."""

    @property
    def file(self) -> str:
        """Return the name that the file has in a repository."""
        return f"{self.name}-{self.version}.apk"


def read_pkginfo(text: str) -> dict[str, list[str]]:
    """Return the keys of .PKGINFO, each with its values in order.

    Raises:
        BrokenPackage: a line is neither a comment nor `key = value`.

    """
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise BrokenPackage(f".PKGINFO has the line {line!r}, which is not `key = value`")
        values.setdefault(key.strip(), []).append(value.strip())
    return values


def describe(info: dict[str, list[str]], *, checksum: str, sha256: str, size: int) -> Apk:
    """Return the package that .PKGINFO describes, with what was measured of its file.

    `checksum` is the `C:` of the index: Q1 and the base64 of the control stream's SHA-1. `size` is
    in bytes.

    Raises:
        BrokenPackage: .PKGINFO lacks the name, the version or the architecture.

    """

    def one(key: str) -> str:
        return info.get(key, [""])[-1]

    for key in ("pkgname", "pkgver", "arch"):
        if not one(key):
            raise BrokenPackage(f".PKGINFO has no {key}")
    lines = [f"C:{checksum}"]
    for key, letter in _FIELDS.items():
        value = " ".join(info.get(key, ())) if key in _REPEATED else one(key)
        if key in _ZERO_IS_NOTHING and value == "0":
            value = ""
        if key == "builddate":
            value = value or "0"  # apko writes this where .PKGINFO has no time
        if value or key == "pkgdesc":
            lines.append(f"{letter}:{value}")
        if key == "arch" and size:
            lines.append(f"S:{size}")
    return Apk(
        name=one("pkgname"),
        version=one("pkgver"),
        arch=one("arch"),
        origin=one("origin") or one("pkgname"),
        depends=tuple(info.get("depend", ())),
        provides=tuple(info.get("provides", ())),
        sha256=sha256,
        size=size,
        stanza="\n".join(lines),
    )


def index_archive(packages: Iterable[Apk | Entry]) -> bytes:
    """Return APKINDEX.tar.gz, unsigned: sorted by name and version, the same bytes everywhere."""
    order = sorted(packages, key=lambda package: (package.name, package.version))
    return _gzip(_tar({"APKINDEX": "".join(f"{p.stanza}\n\n" for p in order), "DESCRIPTION": ""}))


def _tar(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o644
            data = text.encode()
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _gzip(data: bytes) -> bytes:
    # The level is fixed, and the header has no name and no time. The bytes still depend on the
    # build of zlib, but the contents do not, and repositories are compared by contents.
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()
