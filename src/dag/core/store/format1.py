"""Records of format 1, which `dag` wrote until it kept packages without their signatures."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from dag.core.decoding import decode
from dag.core.limits import RECORD
from dag.core.package.apk import PathPart


class SignedApk(Struct, frozen=True):
    """A package as it was published."""

    name: PathPart
    version: PathPart
    arch: str
    origin: str
    depends: tuple[str, ...]
    provides: tuple[str, ...]
    sha256: str
    """The hash of the file, signature included."""
    size: int
    stanza: str

    @property
    def file(self) -> str:
        """Return the name that the file has in a repository."""
        return f"{self.name}-{self.version}.apk"


class SignedBuilt(Struct, frozen=True, kw_only=True):
    """One package of a finished unit."""

    apk: SignedApk
    requires: tuple[str, ...] = ()


class OldRecord(Struct, frozen=True, kw_only=True, tag_field="format", tag=1):
    """A finished unit."""

    name: PathPart
    version: PathPart
    fingerprint: str
    seconds: Annotated[float, Meta(ge=0)]
    built: tuple[SignedBuilt, ...]


_DECODER = msgspec.json.Decoder(OldRecord)


def decode_old_record(data: bytes) -> OldRecord:
    """Return the record.

    Raises:
        Undecodable: it is something else, or has another format.

    """
    return decode(_DECODER, data, limit=RECORD.most)
