"""Packs what agents are told and tell into words that a container's arguments and its log take."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from dag.core.decoding import Undecodable
from dag.core.limits import Limit

T = TypeVar("T")

_WORD = 100_000
"""Characters of one argument; Linux takes 128 KiB."""
_MARK = "packed:"
"""It begins those lines of a log that are words: the agent's notes are on the same log."""


def pack_words(data: bytes) -> list[str]:
    """Return bytes, compressed, as words for arguments."""
    text = base64.b64encode(zlib.compress(data, 9)).decode()
    return [text[begin : begin + _WORD] for begin in range(0, len(text), _WORD)]


def unpack_words(words: Iterable[str], limit: Limit) -> bytes:
    """Return the bytes that `pack_words` has packed.

    Raises:
        Undecodable: they are something else, or more than the limit.

    """
    try:
        packed = base64.b64decode("".join(words), validate=True)
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, limit.most)
    except (ValueError, zlib.error) as error:
        raise Undecodable(f"it is damaged: {error}") from error
    if not unpacker.eof:
        raise Undecodable("it is not whole, or too large")
    return data


def unpack_object(decoder: msgspec.msgpack.Decoder[T], words: Iterable[str], limit: Limit) -> T:
    """Return the object that was encoded and packed.

    Raises:
        Undecodable: it is something else, or more than the limit.

    """
    try:
        return decoder.decode(unpack_words(words, limit))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(str(error)) from error


def lines_of_words(words: Iterable[str]) -> list[str]:
    """Return words as lines for a log."""
    return [f"{_MARK}{word}" for word in words]


def is_packed(line: str) -> bool:
    """Return whether a line of a log is a word of something that is packed."""
    return line.startswith(_MARK)


def words_of_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield the words on a log, whatever else is there."""
    return (line.removeprefix(_MARK) for line in lines if line.startswith(_MARK))
