"""Parsers of what stores have, which others may have written."""

from __future__ import annotations

from contextlib import suppress

from dag.core.store.format1 import decode_old_record
from dag.core.store.layout import (
    read_blob_name,
    read_publication_name,
    read_record_name,
    read_run_of,
)
from dag.core.store.publication import decode_fixed, decode_publication
from dag.core.store.records import choose_records, decode_record, encode_record
from dag.io.store import hints as stored_hints
from tests.fuzz.targets.common import target, text_of


@target
def record(data: bytes) -> None:
    with suppress(ValueError):
        found = decode_record(data)
        assert decode_record(encode_record(found)).result == found.result
        choose_records([found, found], {})


@target
def old_record(data: bytes) -> None:
    with suppress(ValueError):
        decode_old_record(data)


@target
def publication(data: bytes) -> None:
    for decode in (decode_publication, decode_fixed):
        with suppress(ValueError):
            decode(data)


@target
def hints(data: bytes) -> None:
    stored_hints._decode(data)


@target
def object_names(data: bytes) -> None:
    text = text_of(data)
    if (found := read_record_name(text)) is not None:
        assert str(found) == text
    for read in (read_blob_name, read_publication_name, read_run_of):
        read(text)
