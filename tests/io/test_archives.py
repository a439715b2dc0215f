"""Compressed bytes that stand for many more bytes."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dag.core.limits import Limit, TooLarge
from dag.io.archives import DamagedStream, gunzip, limit_pieces, reader_of, unpack


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


PACKERS = {
    "plain": lambda data: data,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("packer", PACKERS)
@given(data=st.binary(max_size=5000), size=st.integers(1, 700))
def test_what_was_packed_is_unpacked_however_it_is_cut(packer: str, data: bytes, size: int) -> None:
    plain = b"plain " + data
    assert b"".join(unpack(cut(PACKERS[packer](plain), size))) == plain


def test_streams_behind_each_other_are_one() -> None:
    two = gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0)
    for size in (1, 7, 100):
        assert b"".join(unpack(cut(two, size))) == b"one two"
        assert b"".join(unpack(cut(two + bytes(600), size))) == b"one two"


def test_an_empty_stream_is_an_empty_archive() -> None:
    assert list(unpack([])) == [b""]
    assert b"".join(gunzip([])) == b""


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(b"x" * 1000, mtime=0)[:-9],
        gzip.compress(b"x", mtime=0) + b"junk",
        b"\x1f\x8b\x08\0" + b"junk" * 50,
        b"\x28\xb5\x2f\xfd" + b"junk" * 50,
    ],
)
def test_what_is_not_packed_as_it_begins_is_damaged(data: bytes) -> None:
    with pytest.raises(DamagedStream):
        list(unpack([data]))


@pytest.mark.long
@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_a_few_bytes_that_stand_for_gigabytes_are_stopped_at_the_limit(packer: str) -> None:
    if packer == "gzip":
        block = io.BytesIO()
        with gzip.GzipFile(fileobj=block, mode="wb", compresslevel=9) as file:
            for _ in range(256):
                file.write(bytes(1 << 20))
        packed = block.getvalue()
    else:
        compressor = zstandard.ZstdCompressor(level=3).compressobj()
        packed = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(256))
        packed += compressor.flush()
    assert len(packed) < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match=r"^bomb has more than 16 MiB"):
            for _ in limit_pieces(unpack([packed]), Limit("a test", 1 << 24), "bomb"):
                pass
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_reader_gives_no_more_than_is_asked_for() -> None:
    read = reader_of([b"abc", b"", b"d"])
    assert [read(2), read(2), read(2), read(2)] == [b"ab", b"c", b"d", b""]
