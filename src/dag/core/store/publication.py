"""Which record of a unit is published, and which one counts where there are several."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from dag.core.decoding import decode
from dag.core.limits import RECORD
from dag.core.package.apk import Digest, PathPart
from dag.core.store.records import Record


class Publication(Struct, frozen=True, kw_only=True, tag_field="format", tag=1):
    """The published files of a unit: those that people and apk see."""

    name: PathPart
    version: PathPart
    """`VERSION-rEPOCH`."""
    key: Digest
    result: Digest
    sizes: dict[PathPart, int]
    """The bytes of each file, its signature included; empty while the files are being replaced."""
    leaving: tuple[PathPart, ...] = ()
    """The files that are being replaced."""


class FixedResult(Struct, frozen=True, kw_only=True, tag_field="format", tag=1):
    """The result of one key that a run goes on with, whatever else is there or comes later."""

    name: PathPart
    """The unit."""
    result: Digest


_DECODER = msgspec.json.Decoder(Publication)
_FIXED = msgspec.json.Decoder(FixedResult)


def encode_publication(publication: Publication) -> bytes:
    """Return a publication as JSON."""
    return msgspec.json.encode(publication)


def decode_publication(data: bytes) -> Publication:
    """Return the publication that `encode_publication` wrote.

    Raises:
        Undecodable: it is something else, or has another format.

    """
    return decode(_DECODER, data, limit=RECORD.most)


def encode_fixed(fixed: FixedResult) -> bytes:
    """Return as JSON which result is fixed."""
    return msgspec.json.encode(fixed)


def decode_fixed(data: bytes) -> FixedResult:
    """Return what `encode_fixed` wrote.

    Raises:
        Undecodable: it is something else, or has another format.

    """
    return decode(_FIXED, data, limit=RECORD.most)


def choose_result(records: Iterable[Record], preferred: Iterable[str] = ()) -> Record | None:
    """Return the one of several records of a unit that counts; None if there is none.

    `preferred` are results, the best one first: that of a run's own attempt, the one that it has
    fixed, the published one. Where none of them is there, it is the first by name.
    """
    order = {result: place for place, result in reversed([*enumerate(preferred)])}
    return min(
        records, key=lambda one: (order.get(one.result, len(order)), one.result), default=None
    )
