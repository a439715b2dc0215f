"""Two packages that should be one: the first member in which they differ is named."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dag.core.package.apk import BrokenPackage
from dag.core.package.differing import differing_fields
from dag.io.package.prover import PackageReader
from tests.support.apks import make_apk, read


@dataclass(frozen=True)
class File:
    name: str
    content: bytes = b""
    mode: int = 0o644
    time: int = 0
    link: str = ""


def write(path: Path, *files: File, level: int = 9, signed: bool = False) -> Path:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for one in files:
            member = tarfile.TarInfo(one.name)
            member.size, member.mode, member.mtime = len(one.content), one.mode, one.time
            if one.link:
                member.type, member.linkname = tarfile.SYMTYPE, one.link
            # As apk wants it, before each member there is a hash of what is in it.
            member.pax_headers = {"APK-TOOLS.checksum.SHA1": hashlib.sha1(one.content).hexdigest()}
            archive.addfile(member, io.BytesIO(one.content))
    return with_data(path, gzip.compress(written.getvalue(), level, mtime=0), signed=signed)


def with_data(path: Path, data: bytes, *, signed: bool = False) -> Path:
    make_apk(path, "p")
    # The control section alone counts, and its hash of the data is not looked at.
    control = gzip.compress(gzip.decompress(path.read_bytes())[:1024], mtime=0)
    signature = io.BytesIO()
    with tarfile.open(fileobj=signature, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(".SIGN.RSA256.k"))
    before = gzip.compress(signature.getvalue()[:512]) if signed else b""
    path.write_bytes(before + control + data)
    return path


@pytest.fixture(scope="module")
def reader() -> Iterator[PackageReader]:
    with PackageReader() as reader:
        yield reader


def compare(reader: PackageReader, first: Path, second: Path) -> str:
    with first.open("rb") as one, second.open("rb") as other:
        return reader.compare(one.fileno(), other.fileno())


A, B = File("usr/a", b"1"), File("usr/b", link="a")


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ((A, B), ""),
        ((File("usr/a", b"2"), B), "usr/a has another content"),
        ((File("usr/a", b"22"), B), "usr/a has another size and another content"),
        ((File("usr/a", b"1", mode=0o755), B), "usr/a has another mode"),
        ((File("usr/a", b"1", time=9), File("usr/b", link="c")), "usr/a has another time"),
        ((A, File("usr/b", link="c")), "usr/b has another link"),
        ((A,), "usr/b is only in the first one"),
        ((A, B, File("usr/c")), "usr/c is only in the second one"),
        ((A, File("usr/c")), "usr/b is where usr/c is in the second one"),
        ((A, File("usr/" + "x" * 300)), f"usr/b is where usr/{'x' * 196}… is in the second one"),
    ],
)
def test_the_first_member_that_differs_is_told(
    reader: PackageReader, tmp_path: Path, second: tuple[File, ...], said: str
) -> None:
    first = write(tmp_path / "first.apk", A, B, signed=True)
    assert compare(reader, first, write(tmp_path / "second.apk", *second, level=1)) == said


def test_data_that_is_made_to_harm_its_reader_ends_the_comparison_alone(
    reader: PackageReader, tmp_path: Path
) -> None:
    first = write(tmp_path / "first.apk", A, B)
    for data in (b"none", gzip.compress(b"x" * 4096), gzip.compress(b"")[:-4]):
        with pytest.raises(BrokenPackage):
            compare(reader, first, with_data(tmp_path / "second.apk", data))
    assert compare(reader, first, first) == ""


def test_fields_are_told_with_what_is_not_the_same_in_them(tmp_path: Path) -> None:
    many = tuple(f"so:lib{number}.so.1" for number in range(40))
    first = read(make_apk(tmp_path / "a.apk", "a", depends=many, more=("builddate = 1",)))
    second = read(
        make_apk(tmp_path / "b.apk", "a", depends=(*many[1:], "x"), more=("builddate = 2",))
    )
    assert list(differing_fields(first, second)) == [
        "builddate is '1' and then '2'",
        "depend is 'so:lib0.so.1' and then 'x'",
    ]
    assert list(differing_fields(first, first)) == []
