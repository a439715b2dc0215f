"""Built packages: the .PKGINFO of one, and the index that lists many.

The formats as apko 1.2.21 reads and writes them (`pkg/apk/types/package.go`, `apkindex.go`):
https://wiki.alpinelinux.org/wiki/Apk_spec
"""

from __future__ import annotations

import io
import re
import tarfile
import unicodedata
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from dag.core.arch import Arch
from dag.core.package.model import Package

_REPEATED = {"depend": "D", "install_if": "i", "provides": "p"}
_SEVERAL = frozenset({*_REPEATED, "replaces", "license"})
"""The keys that melange writes once for each of several values."""
FIELDS = {
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
_NUMBERS = ("size", "builddate", "provider_priority")
_ZERO_IS_NOTHING = frozenset({"size", "provider_priority"})
_KEY = re.compile(r"[A-Za-z0-9_]+")
_NUMBER = re.compile(r"[0-9]{1,19}")
_REFERENCE = re.compile(r"%\(.+\)s")
"""How a value of an INI file has another key's value in it."""


class BrokenPackage(ValueError):
    """A file that is not an apk, or only half of one; the message does not name the file."""


PathPart = Annotated[str, Meta(pattern=r"^[^/\x00]{1,250}\Z")]
"""A text that is a part of a file's name; a record that is read must not lead anywhere else."""
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""A SHA-256 in hexadecimal digits; it is a part of a file's name, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apk:
    """One built package, as its own file describes it.

    Its signature is no part of it: with another key it is the same package.
    """

    name: PathPart
    version: PathPart
    """`VERSION-rEPOCH`."""
    arch: str
    origin: str
    depends: tuple[str, ...]
    provides: tuple[str, ...]
    installed_size: int
    """The bytes of the files that it installs, as it says itself."""
    data_hash: str
    """The SHA-256 of its data section, which .PKGINFO has."""
    sha256: Digest
    """The hash of its control section and its data section, as they are packed."""
    size: int
    """The bytes of these two sections."""
    stanza: str
    """Its lines in APKINDEX, without the size of the file and the empty line that ends them."""

    @property
    def file(self) -> str:
        """Return the name that the file has in a repository."""
        return f"{self.name}-{self.version}.apk"


@dataclass(frozen=True, slots=True)
class PublishedApk:
    """A package in a repository: there it has a signature, which counts for its size."""

    apk: Apk
    size: int
    """The bytes of the file."""


def read_pkginfo(text: str) -> dict[str, list[str]]:
    """Return the keys of .PKGINFO, each with its values in order.

    apko reads it as an INI file (https://github.com/go-ini/ini/blob/v1.67.0/parser.go). What could
    be read there as something else than here is refused, so that a package is the same for both.

    Raises:
        BrokenPackage: a line is neither a comment nor `key = value`, or a key comes twice.

    """
    values: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if any(unicodedata.category(char) == "Cc" and char != "\t" for char in line):
            raise BrokenPackage(f".PKGINFO has a control character in the line {line!r}")
        if not line.strip() or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        key = key.strip()
        if not equals or not _KEY.fullmatch(key):
            raise BrokenPackage(f".PKGINFO has the line {line!r}, which is not `key = value`")
        if key in values and key not in _SEVERAL:
            raise BrokenPackage(f".PKGINFO has the key {key} twice")
        values.setdefault(key, []).append(_plain_value(value, line))
    return values


def _plain_value(text: str, line: str) -> str:
    value = text.strip()
    if value.endswith("\\") or value.startswith(("`", '"""')) or _REFERENCE.search(value):
        raise BrokenPackage(f".PKGINFO has a value that is more than its text: {line!r}")
    value = re.split("[#;]", value, maxsplit=1)[0].strip()
    if (
        len(value) > 1
        and value[0] == value[-1]
        and value[0] in "\"'"
        and value[0] not in value[1:-1]
    ):
        return value[1:-1]
    return value


def describe(info: dict[str, list[str]], *, checksum: str, sha256: str, size: int) -> Apk:
    """Return the package that .PKGINFO describes, with what was measured of its file.

    `checksum` is the `C:` of the index: Q1 and the base64 of the control stream's SHA-1. `sha256`
    and `size`, in bytes, are those of the control and the data section.

    Raises:
        BrokenPackage: .PKGINFO lacks the name, the version or the architecture, or a number is none.

    """

    def one(key: str) -> str:
        # Of several licenses apko takes the first.
        return info.get(key, [""])[0]

    for key in ("pkgname", "pkgver", "arch"):
        if not one(key):
            raise BrokenPackage(f".PKGINFO has no {key}")
    several = {key: _words(info.get(key, ())) for key in _REPEATED}
    for key in _NUMBERS:
        if one(key) and not _NUMBER.fullmatch(one(key)):
            raise BrokenPackage(f".PKGINFO has the {key} {one(key)!r}, which is no number")
    lines = [f"C:{checksum}"]
    for key, letter in FIELDS.items():
        value = " ".join(several[key]) if key in _REPEATED else one(key)
        if key in _ZERO_IS_NOTHING and value == "0":
            value = ""
        if key == "builddate":
            value = value or "0"  # apko writes this where .PKGINFO has no time
        if value or key == "pkgdesc":
            lines.append(f"{letter}:{value}")
    return Apk(
        name=one("pkgname"),
        version=one("pkgver"),
        arch=one("arch"),
        origin=one("origin") or one("pkgname"),
        depends=several["depend"],
        provides=several["provides"],
        installed_size=int(one("size") or 0),
        data_hash=one("datahash"),
        sha256=sha256,
        size=size,
        stanza="\n".join(lines),
    )


def _words(values: Iterable[str]) -> tuple[str, ...]:
    """Return what apko takes for the values of a key that may come several times."""
    found: dict[str, None] = {}
    for value in values:
        if "\\" in value:
            raise BrokenPackage(f".PKGINFO has a backslash in the value {value!r}")
        found |= dict.fromkeys(word.strip() for word in value.split(","))
    return tuple(found)


def require_promised(name: str, package: Package, arch: Arch, apk: Apk) -> None:
    """Refuse a package that is not the one that `package` calls `name`, for this architecture.

    Raises:
        BrokenPackage: it is another one; the message names the file.

    """
    wanted = (name, package.full_version, package.name)
    if (apk.name, apk.version, apk.origin) != wanted or apk.arch not in (arch.apk, "noarch"):
        raise BrokenPackage(
            f"{name}-{package.full_version}.apk says that it is {apk.name} {apk.version} of "
            f"{apk.origin} for {apk.arch}"
        )


def index_archive(packages: Iterable[PublishedApk]) -> bytes:
    """Return APKINDEX.tar.gz, unsigned: sorted by name and version, the same bytes everywhere."""
    order = sorted(packages, key=lambda package: (package.apk.name, package.apk.version))
    return archive_of(map(index_stanza, order))


def archive_of(stanzas: Iterable[str]) -> bytes:
    """Return APKINDEX.tar.gz, unsigned, of the lines of each package."""
    text = "".join(f"{stanza}\n\n" for stanza in stanzas)
    return _gzip(_tar({"APKINDEX": text, "DESCRIPTION": ""}))


def pack_signature(name: str, signature: bytes) -> bytes:
    """Return what stands before a signed index: the signature, and the public key's name.

    https://github.com/chainguard-dev/melange/blob/v0.56.0/pkg/sign/index.go
    """
    # Without the two empty blocks at the end, so that the index's own members follow.
    return _gzip(_tar({f".SIGN.RSA256.{name}": signature})[: 512 + -(-len(signature) // 512) * 512])


def listed_packages(text: str) -> frozenset[str]:
    """Return, of an APKINDEX's text, the lines that say which packages it lists, together for each."""
    return frozenset(
        "\n".join(
            sorted(line for line in stanza.split("\n") if line[:2] in ("P:", "V:", "C:", "S:"))
        )
        for stanza in text.split("\n\n")
        if stanza.strip()
    )


def index_stanza(package: PublishedApk) -> str:
    """Return the lines of a package in an APKINDEX, without the empty line that ends them."""
    # apko writes the size behind the architecture.
    head, letter, rest = package.apk.stanza.partition("\nA:")
    arch, line, rest = rest.partition("\n")
    return f"{head}{letter}{arch}\nS:{package.size}{line}{rest}"


def _tar(files: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o644
            data = text.encode() if isinstance(text, str) else text
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _gzip(data: bytes) -> bytes:
    # The level is fixed, and the header has no name and no time. The bytes still depend on the
    # build of zlib, but the contents do not, and repositories are compared by contents.
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()
