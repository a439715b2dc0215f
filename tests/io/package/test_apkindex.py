"""Indexes of repositories, some of which were made to do harm."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.limits import Limit
from dag.core.package.apk import PublishedApk, index_archive
from dag.errors import UsageError
from dag.io.package.apkindex import repository
from tests.support.apks import make_apk, read
from tests.support.archives import pax_header, sparse_header, tar_header
from tests.support.faults import Answer, Origin

ARCH = Arch.parse("x86_64")


def good(tmp_path: Path) -> bytes:
    return index_archive([PublishedApk(read(make_apk(tmp_path / "a.apk", "a")), 9)])


def test_an_index_is_read_with_its_signature_or_without(tmp_path: Path, origin: Origin) -> None:
    data = good(tmp_path)
    name = ".SIGN.RSA.key.rsa.pub"
    cut = gzip.compress(tar_header(b"0", 4, name) + b"sign".ljust(512, b"\0"), mtime=0)
    whole = gzip.compress(
        tar_header(b"0", 4, name) + b"sign".ljust(512, b"\0") + bytes(1024), mtime=0
    )
    for number, index in enumerate((data, cut + data, whole + data)):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "APKINDEX.tar.gz").write_bytes(index)
        url = origin.put(f"/{number}/x86_64/APKINDEX.tar.gz", index)
        for where in (str(place), url):
            assert "a" in repository([where], ARCH).names


HOSTILE = {
    "sparse": (sparse_header(1 << 40), "has a sparse file"),
    "size": (tar_header(b"0", 1 << 40, "APKINDEX"), "ends too early"),
    "pax size": (
        pax_header("size", str(1 << 40)) + tar_header(b"0", 0, "APKINDEX"),
        "ends too early",
    ),
    "long name": (
        tar_header(b"L", 1 << 33),
        "more than 1 MiB, which is the limit of the long name",
    ),
    "many": (tar_header(b"0", 0) * 10_001, "more than 10,000 members"),
    "large": (bytes(17 << 20), "more than 16 MiB, which is the limit of an APKINDEX"),
    "empty": (b"", "ends too early"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_index_that_asks_for_much_names_file_and_limit(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = Limit("an APKINDEX", 16 << 20)  # so that what is beyond it is soon written
    monkeypatch.setattr("dag.io.package.apkindex.PACKAGE_INDEX", low)
    data, why = HOSTILE[kind]
    path = tmp_path / "APKINDEX.tar.gz"
    path.write_bytes(gzip.compress(data, 1, mtime=0))
    began = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(UsageError) as caught:
            repository([str(tmp_path)], ARCH)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 20
    assert why in caught.value.message
    assert str(path) in caught.value.message


def test_what_is_no_index_is_said(tmp_path: Path) -> None:
    path = tmp_path / "APKINDEX.tar.gz"
    for data in (b"", b"junk", gzip.compress(b"junk" * 500), good(tmp_path)[:50]):
        path.write_bytes(data)
        with pytest.raises(UsageError, match="not an index"):
            repository([str(tmp_path)], ARCH)


def test_a_sparse_file_and_an_endless_answer_are_not_read_to_their_end(
    tmp_path: Path, origin: Origin
) -> None:
    path = tmp_path / "APKINDEX.tar.gz"
    with path.open("wb") as file:
        file.truncate(4 << 30)
    with pytest.raises(UsageError, match=f"^{path} has more than 256 MiB"):
        repository([str(tmp_path)], ARCH)
    origin.handle("/x86_64/APKINDEX.tar.gz", lambda _: Answer.of(200, {}, b"junk"))
    with pytest.raises(UsageError, match=f"^{origin.url}/x86_64/APKINDEX.tar.gz is not an index"):
        repository([origin.url], ARCH)
