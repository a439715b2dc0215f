"""The directory of the cache: locks, records, names, prune, and several processes that use it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dag.core.sources.downloads import SourceDigest
from dag.errors import InfrastructureError
from dag.io.sources.cache import Cache, RemovedEntry
from dag.io.sources.records import Records
from tests.support.faults import Origin

DATA = os.urandom(4_000_000)
SHA256 = SourceDigest("sha256", hashlib.sha256(DATA).hexdigest())
SHA512 = SourceDigest("sha512", hashlib.sha512(DATA).hexdigest())


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def put(cache: Cache, *digests: SourceDigest, data: bytes = DATA) -> None:
    part = cache.try_part(digests)
    assert part is not None
    part.load()
    part.write(data)
    assert part.find_mismatch() is None
    cache.commit(part, digests)
    part.close()


def test_a_part_has_one_writer(cache: Cache) -> None:
    part = cache.try_part([SHA256])
    assert part is not None
    assert cache.try_part([SHA256]) is None
    part.close()
    again = cache.try_part([SHA256])
    assert again is not None
    again.close()
    assert list(cache.directory.iterdir()) == [cache.private]


def test_whoever_waited_for_a_part_does_not_write_into_the_finished_file(cache: Cache) -> None:
    put(cache, SHA256)
    part = cache.try_part([SHA256])
    assert part is not None
    part.load()
    part.write(b"other bytes")
    part.close()
    assert (cache.directory / SHA256.name).read_bytes() == DATA


def test_a_second_name_is_the_same_file(cache: Cache) -> None:
    put(cache, SHA256, SHA512)
    first, second = (cache.directory / digest.name for digest in (SHA256, SHA512))
    assert first.stat().st_ino == second.stat().st_ino
    second.unlink()
    assert cache.check([SHA256, SHA512]).missing == (SHA512,)
    assert cache.check([SHA256, SHA512], repair=True).missing == ()
    assert second.read_bytes() == DATA


def test_without_hard_links_a_second_name_is_a_copy(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    put(cache, SHA256, SHA512)
    assert Cache(cache.directory).check([SHA256, SHA512], force=True).missing == ()
    assert cache.names() == [SHA256.name, SHA512.name]
    assert [path.name for path in cache.private.iterdir()] == ["verified"]


def test_a_file_is_read_again_only_if_size_time_or_inode_differ(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache, SHA256)
    read: list[str] = []
    real = hashlib.new

    def counted(name: str) -> object:
        read.append(name)
        return real(name)

    monkeypatch.setattr(hashlib, "new", counted)
    path = cache.directory / SHA256.name
    assert Cache(cache.directory).check([SHA256]).size == len(DATA)
    assert read == []
    os.utime(path, ns=(1, 1))
    assert Cache(cache.directory).check([SHA256]).missing == ()
    assert read == ["sha256"]
    assert Cache(cache.directory).check([SHA256]).missing == ()
    assert read == ["sha256"]
    path.write_bytes(DATA)  # the same bytes with another time
    other = cache.directory / "other"
    other.write_bytes(DATA)
    os.utime(other, ns=(1, 1))
    other.rename(path)  # the same bytes and time with another inode
    assert Cache(cache.directory).check([SHA256]).missing == ()
    assert read == ["sha256"] * 2


def test_records_survive_half_a_line_and_are_written_anew_when_most_are_old(
    tmp_path: Path,
) -> None:
    path = tmp_path / "verified"
    file = tmp_path / "file"
    file.write_bytes(b"x")
    Records(path).add("a", file.stat())
    with path.open("ab") as stream:
        stream.write(b'["b", 1, 2')
    assert Records(path).vouch("a", file.stat())
    assert not Records(path).vouch("b", file.stat())
    with path.open("ab") as odd:
        odd.write(b'["b",1e400,2,3]\n' + b"[" * 100_000 + b"\n")
    assert Records(path).vouch("a", file.stat())
    path.write_bytes(b"".join(json.dumps(["a", n, 0, 0]).encode() + b"\n" for n in range(3000)))
    Records(path)
    assert path.read_bytes() == b'["a", 2999, 0, 0]\n'


def test_prune_removes_what_is_not_named_and_leaves_what_is_not_its_own(cache: Cache) -> None:
    put(cache, SHA256, SHA512)
    for name in (f"sha256:{'a' * 64}", f"sha256:{'b' * 64}.part", "notes.txt", "sha256:short"):
        (cache.directory / name).write_bytes(b"12345")
    busy = cache.try_part([SourceDigest("sha256", "c" * 64)])
    assert busy is not None
    busy.write(b"x")
    expected = [
        RemovedEntry(f"sha256:{'a' * 64}", 5),
        RemovedEntry(f"sha256:{'b' * 64}.part", 5),
        RemovedEntry(SHA512.name, len(DATA)),
    ]
    assert cache.prune([SHA256.name], dry_run=True) == expected
    assert cache.prune([SHA256.name]) == expected
    busy.close()
    left = sorted(path.name for path in cache.directory.iterdir())
    names = [".dag", "notes.txt", f"sha256:{'c' * 64}.part", SHA256.name, "sha256:short"]
    assert left == sorted(names)


def test_a_place_that_cannot_be_a_cache_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="cannot be the cache"):
        Cache(tmp_path / "file")


def run(directory: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dag", "cache", "-d", str(directory), "-o", str(out), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def definitions(directory: Path, origin: Origin, count: int, size: int = 20_000) -> None:
    directory.mkdir()
    for number in range(count):
        data = number.to_bytes(2, "big") * (size // 2)
        uri = origin.put(f"/{number}", data)
        (directory / f"p{number}.yaml").write_text(
            f"package:\n  name: p{number}\n  version: '1'\n  epoch: 0\npipeline:\n"
            f"  - uses: fetch\n    with:\n      uri: {uri}\n"
            f"      expected-sha256: {hashlib.sha256(data).hexdigest()}\n"
        )


def test_processes_on_one_cache_share_the_work_and_harm_nothing(tmp_path: Path) -> None:
    with Origin() as origin:
        definitions(tmp_path / "d", origin, 60)
        processes = [run(tmp_path / "d", tmp_path / "cache") for _ in range(3)]
        documents = [json.loads(process.communicate()[0]) for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0]
        # Each file was sent once, whichever process was first.
        assert origin.count() == 60
    fetched = [s for document in documents for s in document["sources"] if s["status"] == "fetched"]
    assert len(fetched) == 60
    assert len(Cache(tmp_path / "cache").names()) == 60


def test_a_killed_process_leaves_nothing_that_is_wrong_and_the_next_goes_on(
    tmp_path: Path,
) -> None:
    with Origin() as origin:
        definitions(tmp_path / "d", origin, 8, size=3_000_000)
        held = origin.on("GET", "/5").stall(after=1_500_000)
        process = run(tmp_path / "d", tmp_path / "cache")
        held.wait()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        origin.clear()
        cache = Cache(tmp_path / "cache")
        for name in cache.names():
            digest = hashlib.sha256((cache.directory / name).read_bytes()).hexdigest()
            assert name == f"sha256:{digest}"
        again = run(tmp_path / "d", tmp_path / "cache")
        again.communicate()
        assert again.returncode == 0
        assert len(cache.names()) == 8
        assert list(cache.directory.glob("*.part")) == []


def test_ctrl_c_keeps_what_has_come_and_ends_with_130(tmp_path: Path) -> None:
    with Origin() as origin:
        definitions(tmp_path / "d", origin, 2, size=4_000_000)
        held = origin.on("GET", "/1").stall(after=2_500_000)
        process = run(tmp_path / "d", tmp_path / "cache")
        held.wait()
        data = (1).to_bytes(2, "big") * 2_000_000
        part = tmp_path / "cache" / f"sha256:{hashlib.sha256(data).hexdigest()}.part"
        # What was sent takes a moment to arrive there.
        while not (part.exists() and part.stat().st_size):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.communicate()[1]
        assert process.returncode == 130
        kept = part.read_bytes()
        assert 0 < len(kept) < len(data)
        assert data.startswith(kept)


def test_a_pipe_for_the_records_is_not_waited_for(cache: Cache) -> None:
    os.mkfifo(cache.private / "verified")
    with pytest.raises(InfrastructureError, match="it is a named pipe"):
        Cache(cache.directory)
