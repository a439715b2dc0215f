"""Tar archives of strangers are read as tarfile reads them, and no further than the limits."""

from __future__ import annotations

import io
import tarfile
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.limits import ArchiveLimits, Limit, TooLarge
from dag.core.tar import BrokenArchive, TarReader
from tests.support.archives import pax_header, sparse_header, tar_header

LIMITS = ArchiveLimits(Limit("a small archive", 100, "members"), Limit("a long name", 1 << 16))


def reader(data: bytes) -> TarReader:
    return TarReader(io.BytesIO(data).read, LIMITS, "x.tar")


def contents(data: bytes) -> list[tuple[str, bytes]]:
    archive = reader(data)
    return [(member.name, b"".join(archive.blocks())) for member in archive if member.is_file]


def pack(*files: tuple[str, bytes], kind: int = tarfile.GNU_FORMAT) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=kind) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return written.getvalue()


names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300
).filter(lambda name: name == name.strip("/") and "//" not in name)


@given(
    files=st.lists(st.tuples(names, st.binary(max_size=2000)), min_size=1, max_size=5),
    kind=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_what_tarfile_writes_is_read(files: list[tuple[str, bytes]], kind: int) -> None:
    assert contents(pack(*files, kind=kind)) == files


def test_ustar_prefixes_are_read() -> None:
    name = "a/" * 60 + "b" * 80
    assert contents(pack((name, b"x"), kind=tarfile.USTAR_FORMAT)) == [(name, b"x")]


def test_what_is_no_file_is_told_apart_and_has_no_content() -> None:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("x")
            member.type, member.linkname = kind, "y" * 300
            archive.addfile(member)
        last = tarfile.TarInfo("last")
        last.size = 1
        archive.addfile(last, io.BytesIO(b"z"))
    found = list(reader(written.getvalue()))
    assert [member.is_file for member in found] == [False] * 4 + [True]


def test_a_member_that_nobody_reads_is_passed_over() -> None:
    data = pack(("a", b"1" * 5000), ("b", b"2"))
    assert [member.name for member in reader(data)] == ["a", "b"]


def test_an_archive_may_end_without_its_mark_as_the_parts_of_a_package_do() -> None:
    data = tar_header(b"0", 3) + b"abc".ljust(512, b"\0")
    assert contents(data) == [("x", b"abc")]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends too early"),
        (b"junk" * 200, "checksum|number"),
        (tar_header(b"0", 10), "ends too early"),
        (tar_header(b"0", 10)[:300], "ends too early"),
        (sparse_header(1 << 40), "sparse"),
        (pack(("a", b"x"))[:124] + b"99999999999\0" + pack(("a", b"x"))[136:], "checksum|number"),
        (pax_header("GNU.sparse.major", "1"), "sparse"),
        (tar_header(b"x", 512) + b"nonsense".ljust(512), "pax records"),
        (tar_header(b"x", 512) + b"999 path=x\n".ljust(512), "pax records"),
        (
            tar_header(b"x", 22) + b"22 size=9999999999999\n".ljust(512) + tar_header(b"0", 1),
            "too early",
        ),
        (
            tar_header(b"x", 13) + b"13 size=-100\n".ljust(512) + tar_header(b"0", 1),
            "size that cannot be",
        ),
    ],
)
def test_what_is_no_archive_is_broken(data: bytes, why: str) -> None:
    with pytest.raises(BrokenArchive, match=why):
        contents(data)


def test_a_sparse_file_in_pax_form_is_refused() -> None:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("x")
        member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 40)}
        archive.addfile(member)
    with pytest.raises(BrokenArchive, match="sparse"):
        contents(written.getvalue())


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_a_long_name_is_not_read_beyond_its_limit(kind: bytes) -> None:
    read = 0

    def endless(size: int) -> bytes:
        nonlocal read
        read += size
        return tar_header(kind, 1 << 40) if read == 512 else bytes(size)

    with pytest.raises(TooLarge, match=r"^x.tar has more than 64 KiB.* a long name$"):
        list(TarReader(endless, LIMITS, "x.tar"))
    assert read < 1 << 20


def test_many_tiny_members_are_too_many() -> None:
    blocks: Iterator[bytes] = iter(lambda: tar_header(b"0", 0), None)
    with pytest.raises(TooLarge, match=r"^x.tar has more than 100 members"):
        list(TarReader(lambda _: next(blocks), LIMITS, "x.tar"))


def test_many_members_take_no_memory() -> None:
    limits = ArchiveLimits(Limit("an archive", 1 << 30, "members"))
    left = 20_000
    one = tar_header(b"0", 0)

    def read(_: int) -> bytes:
        nonlocal left
        left -= 1
        return one if left else b""

    tracemalloc.start()
    try:
        assert sum(1 for _ in TarReader(read, limits, "x.tar")) == 19_999
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=3000))
def test_no_bytes_make_another_error(data: bytes) -> None:
    good = pack(("a", b"x" * 600), ("b" * 200, b"y"), kind=tarfile.PAX_FORMAT)
    for hostile in (data, good[:512] + data, good[: len(data)] + data):
        with suppress(BrokenArchive, TooLarge):
            contents(hostile)
