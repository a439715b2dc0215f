"""A wanted file is fetched once, from a mirror or a URI, and each failure is reported."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest

from dag.core.package.model import Fetch
from dag.core.sources.downloads import downloads_of
from dag.io.sources.cache import Cache
from dag.io.sources.transport import TransferLimits
from tests.support.downloading import DATA, LIMITS, SMALL, failed, fetch, files, sha256, wanted
from tests.support.faults import Answer, Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def test_a_file_comes_under_every_name_and_is_not_asked_for_again(
    origin: Origin, cache: Cache
) -> None:
    download = wanted(DATA, origin.put("/a.tar.gz", DATA), sha512=True)
    (outcome,) = fetch(cache, download)
    assert (outcome.status, outcome.size, outcome.received) == ("fetched", len(DATA), len(DATA))
    assert files(cache) == [digest.name for digest in download.digests]
    assert (cache.directory / download.name).stat().st_mode & 0o777 == 0o644
    assert origin.exchanges[0].request.header("accept-encoding") == "identity"
    (outcome,) = fetch(Cache(cache.directory), download)
    assert (outcome.status, outcome.size) == ("present", len(DATA))
    assert origin.count() == 1


def test_an_empty_file_is_a_file(origin: Origin, cache: Cache) -> None:
    (outcome,) = fetch(cache, wanted(b"", origin.put("/empty", b"")))
    assert outcome.status == "fetched"
    assert files(cache) == [f"sha256:{sha256(b'')}"]


def test_one_that_fails_does_not_stop_the_others(origin: Origin, cache: Cache) -> None:
    bodies = [f"{n}".encode() * 1000 for n in range(40)]
    items = [wanted(body, origin.put(f"/{n}", body)) for n, body in enumerate(bodies)]
    items[7] = wanted(b"other", origin.url + "/7")
    items[8] = wanted(b"another", origin.url + "/nowhere")
    outcomes = fetch(cache, *items)
    assert [n for n, outcome in enumerate(outcomes) if outcome.status == "failed"] == [7, 8]
    assert len(cache.names()) == 38
    assert files(cache) == cache.names()


@pytest.mark.parametrize(("jobs", "per_host"), [(3, 9), (9, 3)])
def test_neither_all_nor_one_host_get_more_requests_at_once_than_was_said(
    origin: Origin, cache: Cache, jobs: int, per_host: int
) -> None:
    three = asyncio.Barrier(3)
    active: list[int] = []
    most: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        active.append(1)
        most.append(len(active))
        # No answer comes before three requests are here, so with fewer at once this would never
        # end.
        await three.wait()
        yield b""
        active.pop()

    def handler(request: object) -> Answer:
        return Answer(status=200, body=body, framing="chunked")

    items = [wanted(f"{n}".encode(), origin.handle(f"/{n}", handler)) for n in range(12)]
    limits = TransferLimits(jobs=jobs, per_host=per_host, retry=LIMITS.retry)
    assert "got " in failed(cache, *items, limits=limits)
    assert max(most) == 3


def test_the_second_uri_of_a_file_is_asked_when_the_first_fails(
    origin: Origin, cache: Cache
) -> None:
    good = origin.put("/good", SMALL)
    (outcome,) = fetch(cache, wanted(SMALL, origin.url + "/gone", good))
    assert (outcome.status, outcome.uri) == ("fetched", good)
    assert [str(problem) for problem in outcome.problems] == [
        f"x.yaml:10: {origin.url}/gone: HTTP 404 Not Found"
    ]


def test_whatever_goes_wrong_with_one_is_its_failure(
    origin: Origin, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        received = 0

        def __init__(self, *_: object) -> None:
            raise RuntimeError("something that nobody thought of")

    monkeypatch.setattr("dag.io.sources.downloads.SourceTransfer", Broken)
    said = failed(cache, wanted(SMALL, origin.put("/a", SMALL)))
    assert said.endswith("RuntimeError: something that nobody thought of")


def test_two_files_that_contradict_each_other_are_one_file_and_one_failure(
    origin: Origin, cache: Cache
) -> None:
    steps = [
        Fetch(origin.put("/a", SMALL), sha256(SMALL), "0" * 128, False, "x.yaml", 1),
        Fetch(origin.url + "/a", sha256(SMALL), hashlib.sha512(SMALL).hexdigest(), False, "y", 2),
    ]
    items, _ = downloads_of(steps)
    for both in (items, items[::-1]):
        outcomes = {outcome.download.key: outcome for outcome in fetch(cache, *both)}
        assert [outcomes[item.key].status == "failed" for item in items] == [True, False]
        assert str(outcomes[items[0].key].problems[0]).startswith("x.yaml:1: ")
        for name in cache.names():
            (cache.directory / name).unlink()


# Mirrors.


def test_a_mirror_is_asked_first_and_by_digest(origin: Origin, cache: Cache) -> None:
    uri = origin.put("/a", SMALL)
    origin.put(f"/mirror/sha256:{sha256(SMALL)}", SMALL)
    (outcome,) = fetch(cache, wanted(SMALL, uri), mirrors=[origin.url + "/mirror/"])
    assert outcome.status == "fetched"
    assert outcome.uri.endswith(f"/mirror/sha256:{sha256(SMALL)}")
    assert origin.count("GET", "/a$") == 0


def test_a_mirror_that_lies_or_lacks_the_file_is_passed_over(origin: Origin, cache: Cache) -> None:
    uri = origin.put("/a", SMALL)
    origin.put(f"/lies/sha256:{sha256(SMALL)}", b"something else")
    mirrors = [origin.url + "/none", origin.url + "/lies"]
    (outcome,) = fetch(cache, wanted(SMALL, uri), mirrors=mirrors)
    assert (outcome.status, outcome.uri) == ("fetched", uri)
    assert ["404" in p.message or "expected" in p.message for p in outcome.problems] == [True] * 2
