"""What an agent tells of a store that the client cannot reach itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from dag.core.decoding import Undecodable, decode
from dag.core.jobs.answers import MESSAGE, ROOM
from dag.core.jobs.packing import lines_of_words, pack_words, unpack_object, words_of_lines
from dag.core.limits import STORE_LISTING
from dag.core.package.apk import Digest

_LONGEST_NAME = 255
_LONGEST_PATH = 2048
"""Bytes; Linux takes twice as many, and the directory of a copy has some."""


class StoreListing(Struct, frozen=True, kw_only=True):
    """The small objects of a store for one architecture."""

    objects: dict[str, bytes]
    """Records whose packages are there, and what is published, by name."""
    ram: dict[str, int] = {}
    """The bytes of memory that units turned out to need, by name."""
    disk: dict[str, int] = {}
    """The bytes of disk that they turned out to need."""
    results: dict[str, Digest] = {}
    """The results that runs went on with that have not ended, by unit."""
    identity: str = ""
    """The name of the store, by which every machine finds the key that is the store's own."""
    public_key: bytes = b""
    """The public half of that; empty if there is none yet."""
    notes: list[str] = []
    """Sentences for whoever asked, about what is not told."""


class PublishAnswer(Struct, frozen=True, kw_only=True):
    """What came of publishing."""

    published: int = 0
    """The units that were published anew."""
    unsigned: Digest | None = None
    """The SHA-256 of the index that is to be signed; None if it is in its place."""
    refused: dict[str, str] = {}
    """Why units could not be published, by their names; of many only some."""
    left_out: tuple[str, ...] = ()
    """The packages that a signer no longer has in the index; a few."""
    left_out_count: int = 0
    """How many there are of these."""


_LISTING = msgspec.msgpack.Decoder(StoreListing)
_PUBLISHED = msgspec.json.Decoder(PublishAnswer)


def encode_listing(listing: StoreListing) -> list[str]:
    """Return a listing as lines of a log."""
    return lines_of_words(pack_words(msgspec.msgpack.encode(listing)))


def decode_listing(lines: Iterable[str]) -> StoreListing:
    """Return the listing that is on a log.

    Raises:
        Undecodable: it is something else, or not whole.

    """
    return unpack_object(_LISTING, words_of_lines(lines), STORE_LISTING)


def require_path(name: str) -> str:
    """Return the name of an object or a file if a copy can have it below its directory.

    Raises:
        Undecodable: it leads elsewhere, or no file can have it.

    """
    parts = [one.encode() for one in name.split("/")]
    is_long = sum(map(len, parts)) > _LONGEST_PATH or max(map(len, parts)) > _LONGEST_NAME
    if is_long or "\0" in name or not {b"", b".", b".."}.isdisjoint(parts):
        raise Undecodable(f"{name[:200]!r} is no name of a file")
    return name


def encode_published(answer: PublishAnswer, refused: Mapping[str, str]) -> bytes:
    """Return an answer as JSON that a termination message takes, with as much of `refused` as fits."""
    room = ROOM - len(msgspec.json.encode(answer))
    fitting: dict[str, str] = {}
    for name, why in refused.items():
        room -= len(msgspec.json.encode({name: why}))
        if fitting and room < 0:
            break
        fitting[name] = why[: ROOM // 12]
    return msgspec.json.encode(msgspec.structs.replace(answer, refused=fitting))


def decode_published(message: str) -> PublishAnswer:
    """Return the answer in a termination message.

    Raises:
        Undecodable: it is something else.

    """
    return decode(_PUBLISHED, message.encode(), limit=MESSAGE)
