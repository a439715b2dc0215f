"""The cache of packages: what is in it was verified, and what is asked for is fetched once."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dag.core.limits import Limit
from dag.core.package.apk import archive_of
from dag.core.package.apkindex import IndexEntry, read_index
from dag.errors import InfrastructureError
from dag.io.package import packagecache
from dag.io.package.apkindex import index_text
from dag.io.package.packagecache import PackageCache, WrongPackage
from dag.io.package.reach import Fetcher, Reach
from tests.support.apks import make_apk, read
from tests.support.faults import Origin


def cache(tmp_path: Path) -> PackageCache:
    return PackageCache("x86_64", Fetcher(Reach(["127.0.0.1"])), tmp_path / "cache")


def entry_of(path: Path, repository: str) -> IndexEntry:
    (entry,) = read_index(index_text(archive_of([read(path).stanza])), repository)
    return entry


@pytest.fixture
def apk(tmp_path: Path) -> Path:
    return make_apk(tmp_path / "a.apk", "a", data=b"what is in it" * 1000)


def served(origin: Origin, apk: Path, data: bytes | None = None) -> IndexEntry:
    origin.put("/r/x86_64/a-1-r0.apk", apk.read_bytes() if data is None else data)
    return entry_of(apk, f"{origin.url}/r")


def test_a_package_is_fetched_once_however_many_want_it(
    tmp_path: Path, origin: Origin, apk: Path
) -> None:
    entry = served(origin, apk)
    several = cache(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        paths = set(threads.map(several.bring, [entry] * 20))
    (path,) = paths
    assert path.read_bytes() == apk.read_bytes()
    assert several.sha256(path) == hashlib.sha256(apk.read_bytes()).hexdigest()
    assert cache(tmp_path).bring(entry) == path
    assert origin.count() == 1
    assert list((tmp_path / "cache").iterdir()) == [path]


def test_a_copy_that_was_changed_is_fetched_again(
    tmp_path: Path, origin: Origin, apk: Path
) -> None:
    entry = served(origin, apk)
    one = cache(tmp_path)
    path = one.bring(entry)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    for changed in (bytes(data), data[:-10], b"", make_apk(tmp_path / "b.apk", "b").read_bytes()):
        path.unlink()
        path.write_bytes(changed)
        assert one.bring(entry).read_bytes() == apk.read_bytes()
    assert origin.count() == 5


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "early"),
        (b"junk" * 100, "not gzip"),
        ("cut", "SHA-256|early"),
        ("other", "its checksum is Q1.*, not Q1"),
        ("changed", "SHA-256|not gzip|early"),
    ],
)
def test_what_is_not_the_package_is_refused_by_name(
    tmp_path: Path, origin: Origin, apk: Path, data: bytes | str, why: str
) -> None:
    whole = bytearray(apk.read_bytes())
    if data == "cut":
        data = bytes(whole[:-30])
    elif data == "other":
        data = make_apk(tmp_path / "b.apk", "a", "2-r0").read_bytes()
    elif data == "changed":
        whole[-20] ^= 1
        data = bytes(whole)
    assert isinstance(data, bytes)
    entry = served(origin, apk, data)
    with pytest.raises(WrongPackage, match=why) as caught:
        cache(tmp_path).bring(entry)
    assert f"{origin.url}/r/x86_64/a-1-r0.apk is not what the index of" in caught.value.message
    assert caught.value.hint
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.long
def test_what_cannot_be_fetched_is_told_apart(tmp_path: Path, origin: Origin, apk: Path) -> None:
    entry = entry_of(apk, f"{origin.url}/r")
    with pytest.raises(WrongPackage, match="is not there, although the index lists it"):
        cache(tmp_path).bring(entry)
    served(origin, apk)
    origin.on("GET", "a-1", times=4).answer(503)
    with pytest.raises(InfrastructureError, match="answered with HTTP 503"):
        cache(tmp_path).bring(entry)
    origin.on("GET", "a-1", times=4).reset(after=10)
    with pytest.raises(InfrastructureError, match=r"cannot be read: .* \(4 times\)"):
        cache(tmp_path).bring(entry)
    assert cache(tmp_path).bring(entry).read_bytes() == apk.read_bytes()


def test_a_directory_is_a_repository_too(tmp_path: Path, apk: Path) -> None:
    place = tmp_path / "r" / "x86_64"
    place.mkdir(parents=True)
    (place / "a-1-r0.apk").write_bytes(apk.read_bytes())
    one = PackageCache("x86_64", None, tmp_path / "cache")
    entry = entry_of(apk, str(tmp_path / "r"))
    assert one.bring(entry).read_bytes() == apk.read_bytes()
    (tmp_path / "cache").rename(tmp_path / "old")
    (place / "a-1-r0.apk").unlink()
    with pytest.raises(WrongPackage, match="is not there"):
        PackageCache("x86_64", None, tmp_path / "cache").bring(entry)


def test_what_was_not_used_for_long_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "r"
    (repository / "x86_64").mkdir(parents=True)
    entries = [
        entry_of(make_apk(repository / f"x86_64/{name}-1-r0.apk", name), str(repository))
        for name in ("a", "b", "c", "d")
    ]
    size = sum(path.stat().st_size for path in repository.rglob("*.apk"))
    monkeypatch.setattr(packagecache, "PACKAGE_CACHE", Limit("a small cache", size * 3 // 4 + 1))
    a, b, c = map(cache(tmp_path).bring, entries[:3])
    os.utime(b, (1, 1))
    later = cache(tmp_path)
    d = later.bring(entries[3])
    assert {*(tmp_path / "cache").iterdir()} == {a, c, d}
    # What this run uses stays, even if it is too much.
    assert {*map(later.bring, entries)} == {a, b, c, d} == {*(tmp_path / "cache").iterdir()}


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, apk: Path, origin: Origin) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InfrastructureError, match="cannot be used") as caught:
        cache(tmp_path).bring(served(origin, apk))
    assert caught.value.hint == "$XDG_CACHE_HOME names another place for it"


@pytest.mark.parametrize("builds", [None, Path("/dev/shm")], ids=["here", "other-file-system"])
def test_what_a_build_unpacks_is_there_for_the_next_one(
    tmp_path: Path, apk: Path, builds: Path | None
) -> None:
    entry = entry_of(apk, str(tmp_path))
    with tempfile.TemporaryDirectory(dir=builds) as place:
        assert builds is None or Path(place).stat().st_dev != tmp_path.stat().st_dev
        for number in (1, 2):
            one, folder = cache(tmp_path), Path(place) / str(number)
            served = {folder / "repository": [entry]}
            folder.mkdir()
            one.lead_to_unpacked(folder / "unpacked", served)
            (unpacked,) = (folder / "unpacked").glob("file*/x86_64")
            own = unpacked / "a-1-r0"
            if number == 1:
                assert not own.exists()
                own.mkdir()
                (own / "1234.dat.tar").write_bytes(b"what is in it")
                (own / "link").symlink_to("1234.dat.tar")
                one.keep_unpacked(folder / "unpacked", served)
        assert (own / "link").readlink() == Path("1234.dat.tar")
        assert (own / "link").read_bytes() == b"what is in it"
    kept = [one.name for one in (tmp_path / "cache-unpacked").iterdir()]
    assert len([name for name in kept if not name.startswith("together-")]) == 1


def test_builds_with_the_same_packages_have_one_directory_of_what_is_unpacked(
    tmp_path: Path, apk: Path
) -> None:
    entry, cached = entry_of(apk, str(tmp_path)), cache(tmp_path)

    def place_of(build: str, one: PackageCache) -> Path:
        folder = tmp_path / build
        folder.mkdir()
        one.lead_to_unpacked(folder / "unpacked", {folder / "repository": [entry]})
        (place,) = (folder / "unpacked").iterdir()
        return place

    first = place_of("first", cached) / "x86_64"
    (first / "a-1-r0").mkdir()
    (first / "a-1-r0" / "1234.dat.tar").write_bytes(b"what is in it")
    cached.keep_unpacked(tmp_path / "first/unpacked", {tmp_path / "first/repository": [entry]})
    shared = place_of("second", cached).readlink()
    assert place_of("third", cached).readlink() == shared
    assert (shared / "x86_64/a-1-r0/1234.dat.tar").read_bytes() == b"what is in it"

    (unpacked,) = (one for one in shared.parent.iterdir() if one != shared)
    os.utime(shared, (0, 0))
    cache(tmp_path).lead_to_unpacked(tmp_path / "trims", {})
    assert not shared.exists()
    assert unpacked.exists()
    assert place_of("fourth", cached).readlink() == shared
    shutil.rmtree(unpacked)
    assert not place_of("fifth", cached).is_symlink()


def test_what_other_processes_move_and_remove_meanwhile_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = tmp_path / "cache-unpacked"
    for name in (".tmp-dead", ".tmp-moved", "gone", "kept"):
        (unpacked / name).mkdir(parents=True)
        (unpacked / name / "1234.dat.tar").write_bytes(b"what is in it")
    os.utime(unpacked / ".tmp-dead", (0, 0))
    walk = Path.rglob

    def walk_and_lose(directory: Path, pattern: str) -> Iterator[Path]:
        found = list(walk(directory, pattern))
        if directory.name != "kept":
            shutil.rmtree(directory)
        return iter(found)

    monkeypatch.setattr(Path, "rglob", walk_and_lose)
    cache(tmp_path).lead_to_unpacked(tmp_path / "build", {})
    assert sorted(path.name for path in unpacked.iterdir()) == [".tmp-moved", "kept"]
