"""Packed bytes of strangers, unpacked piece by piece: a few bytes may stand for gigabytes.

How much is taken of them is for `dag.core.limits` and `dag.core.tar`.
"""

from __future__ import annotations

import zlib
from itertools import chain
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dag.core.limits import Limit

_PIECE = 1 << 18
"""Bytes that are unpacked at once."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""How packed bytes begin."""
_WITH_HEADER = 31
"""For zlib: gzip's header and trailer, and the largest window."""


class DamagedStream(ValueError):
    """The bytes are not packed as they should be; says why, without naming the file."""


def limit_pieces(pieces: Iterable[bytes], limit: Limit, where: str) -> Iterator[bytes]:
    """Pass pieces on, as long as they are within a limit together.

    Raises:
        TooLarge: they are not; `where` names the file or the URL that they are from.

    """
    size = 0
    for piece in pieces:
        size += len(piece)
        limit.check(size, where)
        yield piece


def reader_of(pieces: Iterable[bytes]) -> Callable[[int], bytes]:
    """Return a function that reads at most so many bytes of what comes in pieces."""
    source = iter(pieces)
    rest = b""

    def read(size: int) -> bytes:
        nonlocal rest
        while not rest:
            piece = next(source, None)
            if piece is None:
                return b""
            rest = piece
        taken, rest = rest[:size], rest[size:]
        return taken

    return read


def unpack(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack what is packed by gzip or zstd, as its first bytes say; pass on what is not.

    Raises:
        DamagedStream: the bytes are not what they begin like.

    """
    source = iter(pieces)
    head = b""
    while len(head) < len(_ZSTD) and (piece := next(source, None)) is not None:
        head += piece
    whole = chain((head,), source)
    if head.startswith(_GZIP):
        return gunzip(whole)
    return unzstd(whole) if head.startswith(_ZSTD) else whole


def gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack gzip streams, one behind the other, in pieces of a bounded size.

    Raises:
        DamagedStream: they are none, or end too early.

    """
    unpacker = None
    for piece in pieces:
        data = piece
        while data:
            if unpacker is None:
                if not data.strip(b"\0"):
                    break  # padding, which gzip passes over, too
                unpacker = zlib.decompressobj(_WITH_HEADER)
            try:
                if unpacked := unpacker.decompress(data, _PIECE):
                    yield unpacked
            except zlib.error as error:
                is_other = "incorrect header check" in str(error)
                words = "it is not packed by gzip" if is_other else "what gzip packed is damaged"
                raise DamagedStream(words) from None
            data = unpacker.unconsumed_tail
            if unpacker.eof:
                data, unpacker = unpacker.unused_data, None
    # A piece may have been taken in as a whole, and not have come out yet.
    while unpacker is not None and (unpacked := unpacker.decompress(b"", _PIECE)):
        yield unpacked
    if unpacker is not None and not unpacker.eof:
        raise DamagedStream("it ends too early")


def unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack zstd frames, one behind the other, in pieces of a bounded size.

    A frame that ends too early is not noticed here: whoever reads what is in it will.

    Raises:
        DamagedStream: they are none.

    """
    import zstandard

    packed = cast("IO[bytes]", _Readable(reader_of(pieces)))
    stream = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
    try:
        while unpacked := stream.read(_PIECE):
            yield unpacked
    except zstandard.ZstdError as error:
        raise DamagedStream(str(error)) from None


class _Readable:
    """A file, as much of one as zstandard needs."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read
