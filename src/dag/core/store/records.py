"""Records of finished units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from dag.core.decoding import decode
from dag.core.package.apk import Apk, PathPart
from dag.core.package.versions import key

FORMAT = 1
MAX_BYTES = 64 << 20
"""The size of the largest record that is read; a unit with 100 packages has one of 100 KB."""


class Built(Struct, frozen=True, kw_only=True):
    """One package of a finished unit."""

    apk: Apk
    requires: tuple[str, ...] = ()
    """The packages that gave what it turned out to need (`so:libz.so.1`) when it was built."""


class Record(Struct, frozen=True, kw_only=True, tag_field="format", tag=FORMAT):
    """A finished unit: proven, and all of it is in the store."""

    name: PathPart
    version: PathPart
    """`VERSION-rEPOCH`."""
    fingerprint: str
    """The fingerprint of the definition that it was built from; empty if nobody knows."""
    seconds: Annotated[float, Meta(ge=0)]
    """How long the attempt took; 0 if nobody knows."""
    built: tuple[Built, ...]

    @property
    def files(self) -> dict[str, Apk]:
        """Return its packages by the names of their files."""
        return {built.apk.file: built.apk for built in self.built}


_DECODER = msgspec.json.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """Return a record as JSON."""
    return msgspec.json.encode(record)


def decode_record(data: bytes) -> Record:
    """Return the record that `encode_record` wrote.

    Raises:
        Undecodable: it is something else, or has another format.

    """
    return decode(_DECODER, data, limit=MAX_BYTES)


def choose_records(records: Iterable[Record], versions: Mapping[str, str]) -> dict[str, Record]:
    """Return one record a unit: that of the version in `versions`, else of the highest."""
    chosen: dict[str, Record] = {}
    for record in records:
        best = chosen.get(record.name)
        wanted = versions.get(record.name)
        if best is None or (
            (record.version == wanted, key(record.version))
            > (best.version == wanted, key(best.version))
        ):
            chosen[record.name] = record
    return chosen
