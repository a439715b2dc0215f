"""Downloads into a cache that has something already, or that cannot be written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dag.errors import InfrastructureError
from dag.io.sources.cache import Cache
from tests.support.downloading import DATA, SMALL, Silent, fetch, wanted
from tests.support.faults import Origin

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_in_a_files_place_is_one_failure(origin: Origin, cache: Cache) -> None:
    download, other = (wanted(data, origin.put(f"/{len(data)}", data)) for data in (SMALL, DATA))
    (cache.directory / download.name).mkdir()
    outcomes = fetch(cache, download, other)
    assert [outcome.status for outcome in outcomes] == ["failed", "fetched"]
    assert download.name in str(outcomes[0].problems[0])


def test_a_pipe_in_a_files_place_is_not_waited_for(origin: Origin, cache: Cache) -> None:
    download = wanted(SMALL, origin.put("/a", SMALL))
    for name in (download.name, f"{download.name}.part"):
        os.mkfifo(cache.directory / name)
        (outcome,) = fetch(cache, download)
        assert outcome.status == "failed"
        assert "no ordinary file" in str(outcome.problems[0])
        (cache.directory / name).unlink()


def test_a_part_that_is_another_file_too_is_not_written_into(
    origin: Origin, cache: Cache, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    download = wanted(SMALL, origin.put("/a", SMALL))
    (cache.directory / f"{download.name}.part").hardlink_to(victim)
    (outcome,) = fetch(cache, download)
    assert outcome.status == "fetched"
    assert victim.read_text() == "mine"


def test_a_file_that_was_changed_is_noticed_and_fetched_again(origin: Origin, cache: Cache) -> None:
    download = wanted(DATA, origin.put("/a", DATA))
    fetch(cache, download)
    path = cache.directory / download.name
    path.write_bytes(b"?" + DATA[1:])
    watcher = Silent()
    cache = Cache(cache.directory)
    (outcome,) = fetch(cache, download, watcher=watcher)
    assert outcome.status == "fetched"
    assert any(download.name in note for note in watcher.notes)


def test_verify_looks_also_where_size_time_and_inode_say_that_nothing_changed(
    origin: Origin, cache: Cache
) -> None:
    download = wanted(DATA, origin.put("/a", DATA))
    fetch(cache, download)
    path = cache.directory / download.name
    status = path.stat()
    with path.open("rb+") as file:
        file.write(b"?")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    (verdict, forced) = (cache.check(download.digests), cache.check(download.digests, force=True))
    assert (verdict.missing, forced.missing) == ((), download.digests)
    (outcome,) = fetch(cache, download, verify=True)
    assert outcome.status == "fetched"


def test_a_cache_that_cannot_be_written_stops_the_run(
    origin: Origin, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    download = wanted(DATA, origin.put("/a", DATA))
    monkeypatch.setattr("dag.io.sources.cache.os.write", full)
    with pytest.raises(InfrastructureError, match="No space left"):
        fetch(cache, download)


def test_a_part_that_is_a_symbolic_link_is_not_written_through(
    origin: Origin, cache: Cache, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    download = wanted(SMALL, origin.put("/a", SMALL))
    (cache.directory / f"{download.name}.part").symlink_to(victim)
    (outcome,) = fetch(cache, download)
    assert outcome.status == "failed"
    assert f"{download.name}.part" in str(outcome.problems[0])
    assert victim.read_text() == "mine"


def test_a_link_in_a_files_place_is_no_file_of_the_cache(
    origin: Origin, cache: Cache, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_bytes(SMALL)
    download = wanted(SMALL, origin.put("/a", SMALL))
    (cache.directory / download.name).symlink_to(tmp_path / "elsewhere")
    (outcome,) = fetch(cache, download)
    assert outcome.status == "failed"
    assert "no ordinary file" in str(outcome.problems[0])
