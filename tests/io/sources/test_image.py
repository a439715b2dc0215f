"""Caches from images: a damaged one is an error, and two at the same time do not disturb each other."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import random
import tarfile
import threading
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from dag.errors import DagError, InfrastructureError
from dag.io.sources.cache import Cache
from dag.io.sources.image import Filled, fill, staging
from tests.support.archives import sparse_header, tar_header
from tests.support.faults import Origin

pytestmark = pytest.mark.usefixtures("no_credentials")

TAR = "application/vnd.oci.image.layer.v1.tar"
DATA = b"a source\n"
REPOSITORY = "git/example.com/a/b.git"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def name_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tar(*files: tuple[str, bytes], **pax: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files:
            member = tarfile.TarInfo(f"bundle/{name}")
            member.size, member.pax_headers = len(data), pax
            archive.addfile(member, io.BytesIO(data))
    return written.getvalue()


GOOD = tar((name_of(DATA), DATA), (f"{REPOSITORY}/HEAD", b"x"), (f"{REPOSITORY}/dag.json", b"{}"))


def image(origin: Origin, *layers: bytes, media_type: str = TAR) -> str:
    described = []
    for layer in layers:
        origin.put(f"/v2/c/blobs/{name_of(layer)}", layer)
        described.append({"mediaType": media_type, "digest": name_of(layer), "size": len(layer)})
    data = json.dumps({"layers": described}).encode()
    origin.put(f"/v2/c/manifests/{name_of(data)}", data)
    return f"{origin.url.removeprefix('http://')}/c@{name_of(data)}"


def take(cache: Cache, reference: str) -> tuple[Filled, list[Path]]:
    with staging(cache) as directory:
        return fill(cache, directory, reference)


@pytest.mark.parametrize(
    ("packed", "suffix"),
    [
        *((GOOD, ""), (gzip.compress(GOOD, mtime=0), "+gzip")),
        (zstandard.ZstdCompressor().compress(GOOD), "+zstd"),
    ],
)
def test_a_layer_is_taken(cache: Cache, origin: Origin, packed: bytes, suffix: str) -> None:
    filled, staged = take(cache, image(origin, packed, media_type=TAR + suffix))
    assert (filled.files, filled.bytes) == (1, len(DATA))
    assert staged == [Path("example.com/a/b.git")]
    assert cache.names() == [name_of(DATA)]
    assert list((cache.private / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("packed", "suffix"),
    [
        *((b"this is no tar" * 100, ""), (b"", ""), (GOOD[:700], "")),
        *(
            (b"\x1f\x8b\x08\0" + b"junk" * 50, "+gzip"),
            (gzip.compress(GOOD, mtime=0)[:90], "+gzip"),
        ),
        *((b"BZh9" + b"junk" * 50, ""), (b"\xfd7zXZ\0" + b"junk" * 50, "")),
        (b"junk" * 50, "+zstd"),
        (
            zstandard.ZstdCompressor().compress(random.Random(5).randbytes(9000) + GOOD)[:-6],
            "+zstd",
        ),
        (tar((name_of(DATA), DATA), **{"GNU.sparse.major": "x", "GNU.sparse.map": "a,b"}), ""),
        (tar((f"{REPOSITORY}/refs/heads/a", b""), (f"{REPOSITORY}/refs/heads/a/b", b"")), ""),
        (tar((f"{REPOSITORY}/refs/heads/{'a' * 300}", b"")), ""),
    ],
)
def test_a_damaged_layer_is_an_error(
    cache: Cache, origin: Origin, packed: bytes, suffix: str
) -> None:
    with pytest.raises(InfrastructureError, match=r"is damaged|can be no file"):
        take(cache, image(origin, packed, media_type=TAR + suffix))


MANY = 65 << 20


@pytest.mark.parametrize(
    ("header", "zeros", "why"),
    [
        (tar_header(b"L", 1 << 28), 1 << 28, "more than 1 MiB, which is the limit of the"),
        (sparse_header(1 << 40), 0, "has a sparse file"),
        (tar_header(b"0", 1 << 40, f"bundle/{name_of(DATA)}"), 0, "more than --max-size"),
        (tar_header(b"0", MANY, f"bundle/{REPOSITORY}/dag.json"), MANY, "more than 64 MiB"),
        (tar_header(b"0", MANY, f"bundle/{REPOSITORY}/packed-refs"), MANY, "more than 64 MiB"),
    ],
)
def test_a_few_bytes_that_stand_for_many_are_refused(
    cache: Cache, origin: Origin, header: bytes, zeros: int, why: str
) -> None:
    packed = zstandard.ZstdCompressor().compress(header + bytes(zeros))
    assert len(packed) < 96_000
    tracemalloc.start()
    try:
        with pytest.raises(DagError, match=why):
            take(cache, image(origin, packed, media_type=TAR + "+zstd"))
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_name_that_no_file_has_is_passed_over(cache: Cache, origin: Origin) -> None:
    path = f"bundle/{REPOSITORY}/refs/heads/a\0b"
    _, staged = take(cache, image(origin, tar(("x", b""), path=path)))
    assert staged == []


def test_a_part_that_somebody_else_writes_is_not_waited_for(cache: Cache, origin: Origin) -> None:
    part = cache.directory / f"{name_of(DATA)}.part"
    with part.open("wb") as held:
        held.write(b"half")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        filled, _ = take(cache, image(origin, GOOD))
    assert filled.files == 1
    assert (cache.directory / name_of(DATA)).read_bytes() == DATA
    assert part.read_bytes() == b"half"


def test_a_wrong_file_is_replaced(cache: Cache, origin: Origin) -> None:
    (cache.directory / name_of(DATA)).write_bytes(b"wrong")
    assert take(cache, image(origin, GOOD))[0].files == 1
    assert (cache.directory / name_of(DATA)).read_bytes() == DATA


def test_two_at_a_time_have_a_directory_each(cache: Cache, origin: Origin) -> None:
    reference, other = image(origin, GOOD), image(origin, tar((name_of(b"q"), b"q")))
    with staging(cache) as directory:
        _, staged = fill(cache, directory, reference)
        done = threading.Thread(target=take, args=(Cache(cache.directory), other))
        done.start()
        done.join()
        assert (directory / "git" / staged[0] / "HEAD").read_bytes() == b"x"
    assert list((cache.private / "incoming").iterdir()) == []
    assert len(cache.names()) == 2


def test_what_a_dead_process_left_is_removed(cache: Cache) -> None:
    left = cache.private / "incoming" / "left"
    (left / "git").mkdir(parents=True)
    with staging(cache) as directory:
        assert list((cache.private / "incoming").iterdir()) == [directory]
