"""Reads what the agent must know of its base: the Python and the C library in its layers."""

from __future__ import annotations

import hashlib
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import msgspec

from dag.core.decoding import Undecodable, decode
from dag.core.image.agent import BaseFacts, FactFinder
from dag.core.image.layers import base_layers, canonical_json
from dag.core.limits import (
    BASE_LAYER,
    BASE_LAYER_MEMBERS,
    LIBRARY,
    REGISTRY_DOCUMENT,
    TooLarge,
)
from dag.core.tar import BrokenArchive, TarReader
from dag.errors import UsageError
from dag.io import durable
from dag.io.archives import DamagedStream, limit_pieces, reader_of, unpack
from dag.io.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dag.core.image.descriptors import Blob
    from dag.io.image.base import Platform
    from dag.io.image.registry.repository import ImageRepository


class _FactsRecord(msgspec.Struct, frozen=True):
    python: str
    glibc: str
    musl: bool


_FACTS = msgspec.json.Decoder(_FactsRecord)


def read_facts(
    repository: ImageRepository,
    platform: Platform,
    directory: Path,
    progress: Callable[[str], None],
) -> BaseFacts:
    """Return the facts of one platform of a base; its layers are read once on a machine.

    Raises:
        RegistryError: the registry fails.
        UsageError: a layer is damaged, or larger than can be right.

    """
    blobs = base_layers(platform.manifest)
    key = hashlib.sha256(canonical_json([blob.digest for blob in blobs])).hexdigest()
    path = directory / f"{key}.facts.json"
    with suppress(OSError, TooLarge, Undecodable):
        data = read_bytes(path, REGISTRY_DOCUMENT)
        known = decode(_FACTS, data, limit=REGISTRY_DOCUMENT.most)
        return BaseFacts(known.python, known.glibc, known.musl)
    size = sum(blob.size for blob in blobs)
    progress(f"looking for Python and libc in the {size:,} bytes of the base")
    finder = FactFinder()
    for blob in blobs:
        _look(repository, blob, finder)
    facts = finder.facts()
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        record = _FactsRecord(facts.python, facts.glibc, facts.musl)
        durable.write(path, msgspec.json.encode(record), lasting=False)
    return facts


def _look(repository: ImageRepository, blob: Blob, finder: FactFinder) -> None:
    where = f"layer {blob.digest} of the base"
    with closing(repository.read_blob(blob)) as pieces:
        unpacked = limit_pieces(unpack(pieces), BASE_LAYER, where)
        archive = TarReader(reader_of(unpacked), BASE_LAYER_MEMBERS, where)
        try:
            for member in archive:
                if finder.wants(member.name) and member.is_file:
                    LIBRARY.check(member.size, where)
                    finder.take(b"".join(archive.blocks()))
        except (BrokenArchive, DamagedStream) as error:
            raise UsageError(f"{where} is damaged: {error}") from error
        for _ in pieces:  # the rest, so that its digest is checked
            pass
