"""Built packages are read: whole, broken and hostile ones."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.core.package.apk import BrokenPackage, PublishedApk, index_archive, read_pkginfo
from dag.core.package.apkindex import read_index
from dag.io.package.apk import read_apk
from dag.io.package.apkindex import index_text
from tests.support.apks import gzip_members, make_apk, read
from tests.support.archives import pax_header, sparse_header, tar_header


def test_reads_what_a_package_says_of_itself(tmp_path: Path) -> None:
    path = make_apk(
        tmp_path / "a.apk", "a-dev", origin="a", depends=("b>1", "so:libc.so.6"), provides=("c=2",)
    )
    apk = read(path)
    assert (apk.name, apk.version, apk.origin, apk.arch) == ("a-dev", "1-r0", "a", "x86_64")
    assert apk.depends == ("b>1", "so:libc.so.6")
    assert apk.provides == ("c=2",)
    assert apk.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert apk.size == path.stat().st_size
    assert apk.installed_size == 4
    assert apk.file == "a-dev-1-r0.apk"


def test_a_signature_is_no_part_of_a_package(tmp_path: Path) -> None:
    plain = make_apk(tmp_path / "a.apk", "a")
    for key in ("one", "two"):
        signature = gzip.compress(tar_header(b"0", 3, f".SIGN.RSA256.{key}.pub") + bytes(512))
        signed = tmp_path / f"{key}.apk"
        signed.write_bytes(signature + plain.read_bytes())
        with signed.open("rb") as file:
            found = read_apk(file)
        assert found.apk == read(plain)
        assert signed.read_bytes()[found.signature :] == plain.read_bytes()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("pkgname = evil\rpkgver = 9-r9", "control character"),
        ("pkgname = evil", "the key pkgname twice"),
        ("maintainer = a\\", "more than its text"),
        ("url = `", "more than its text"),
        ('commit = """', "more than its text"),
        ("url = %(pkgname)s", "more than its text"),
        ("[section]", "not `key = value`"),
        ("pkgname: evil = x", "not `key = value`"),
        ("; pkgname = evil", "not `key = value`"),
        ("word", "not `key = value`"),
        ("provider_priority = many", "no number"),
        ("depend = a\\,b", "backslash"),
    ],
)
def test_what_another_reader_may_take_for_something_else_is_refused(
    tmp_path: Path, line: str, why: str
) -> None:
    with pytest.raises(BrokenPackage, match=why):
        read(make_apk(tmp_path / "a.apk", "a", more=(line,)))


def test_values_are_what_apko_takes_for_them() -> None:
    text = "a = 1 # one\nlicense = MIT\nlicense = GPL\nb = 'x y'\n# c = 3\n"
    assert read_pkginfo(text) == {"a": ["1"], "license": ["MIT", "GPL"], "b": ["x y"]}


def test_every_cut_and_every_changed_byte_of_the_data_is_noticed(tmp_path: Path) -> None:
    whole = make_apk(tmp_path / "a.apk", "a").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "cut.apk").write_bytes(whole[:size])
        with pytest.raises(BrokenPackage):
            read(tmp_path / "cut.apk")
    for place in range(len(whole) - 60, len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        (tmp_path / "cut.apk").write_bytes(changed)
        with pytest.raises(BrokenPackage, match="SHA-256"):
            read(tmp_path / "cut.apk")


def test_something_else_is_no_package(tmp_path: Path) -> None:
    path = tmp_path / "a.apk"
    for data in (b"", b"no gzip", gzip.compress(b"no tar" * 200)):
        path.write_bytes(data)
        with pytest.raises(BrokenPackage):
            read(path)


def test_a_control_section_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.apk"
    path.write_bytes(gzip.compress(bytes(65 << 20), 1))
    with pytest.raises(BrokenPackage, match="more than 64 MiB"):
        read(path)


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (sparse_header(1 << 31), "sparse"),
        (tar_header(b"2", 0, "link"), "strange member 'link'"),
        (pax_header("path", ".PKGINFO"), "strange member '.PKGINFO'"),
        (pax_header("size", "0"), "strange member '.PKGINFO'"),
        (tar_header(b"0", 0, ".PKGINFO"), "'.PKGINFO' twice"),
        (tar_header(b"0", 0, ".SIGN.RSA256.x"), "something else in it"),
        (tar_header(b"0", 9 << 20, ".PKGINFO"), "8 MiB"),
        (pax_header("GNU.sparse.map", "a,b"), "sparse"),
        (pax_header("size", "9" * 30), "size that cannot be"),
        (tar_header(b"L", 1 << 33), "long name"),
    ],
)
def test_a_control_section_that_asks_for_much_is_refused(
    tmp_path: Path, before: bytes, why: str
) -> None:
    with pytest.raises(BrokenPackage, match=why):
        read(with_control(tmp_path, before))


@pytest.mark.long
def test_a_control_section_of_many_members_is_refused(tmp_path: Path) -> None:
    before = b"".join(tar_header(b"0", 0, str(n)) for n in range(10_001))
    with pytest.raises(BrokenPackage, match="10,000 members"):
        read(with_control(tmp_path, before))


def with_control(place: Path, before: bytes) -> Path:
    """Make a package whose control section has such members before what must be in it."""
    control = gzip.compress(before + tar_header(b"0", 0, ".PKGINFO"), mtime=0)
    path = place / "a.apk"
    path.write_bytes(control + gzip.compress(b"data", mtime=0))
    return path


def test_the_index_is_sorted_and_the_same_whatever_the_order(tmp_path: Path) -> None:
    apks = [
        read(make_apk(tmp_path / f"{n}.apk", name, version))
        for n, (name, version) in enumerate((("b", "1-r0"), ("a", "2-r0"), ("a", "1-r0")))
    ]
    data = index_archive(PublishedApk(apk, 99) for apk in apks)
    assert data == index_archive(PublishedApk(apk, 99) for apk in reversed(apks))
    assert "\nA:x86_64\nS:99\nI:4\n" in index_text(data)
    entries = read_index(index_text(data))
    assert [(entry.name, entry.version) for entry in entries] == [
        ("a", "1-r0"),
        ("a", "2-r0"),
        ("b", "1-r0"),
    ]


@given(
    st.lists(st.tuples(st.integers(0, 2047), st.binary(min_size=1, max_size=4)), max_size=6),
    st.integers(0, 2048),
)
def test_any_other_bytes_are_a_package_or_a_broken_one(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]], length: int
) -> None:
    path = make_apk(tmp_path_factory.mktemp("fuzz") / "a.apk", "a")
    packed = path.read_bytes()
    control = bytearray(zlib.decompressobj(31).decompress(packed))
    for place, data in changes:
        control[place : place + len(data)] = data
    _, data = gzip_members(packed)
    path.write_bytes(gzip.compress(control[: length or None], mtime=0) + data)
    with contextlib.suppress(BrokenPackage):
        assert read(path).name
