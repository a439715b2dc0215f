"""If a connection breaks, what came is kept, if it is what it should be."""

from __future__ import annotations

import pytest

from dag.io.sources.cache import Cache
from tests.support.downloading import DATA, SMALL, failed, fetch, wanted
from tests.support.faults import Answer, Incoming, Origin


@pytest.mark.parametrize("after", [0, 1, 1000, 65_536, 1_048_576, 2_999_999])
def test_a_reset_at_any_byte_is_resumed(origin: Origin, cache: Cache, after: int) -> None:
    rule = origin.on("GET", "/a").reset(after=after)
    (outcome,) = fetch(cache, wanted(DATA, origin.put("/a", DATA)))
    assert outcome.status == "fetched"
    assert rule.fired == 1
    assert origin.count() == 2


def test_a_reset_at_every_byte_of_a_small_file_is_resumed(origin: Origin, cache: Cache) -> None:
    bodies = [SMALL + bytes([after]) for after in range(len(SMALL) + 1)]
    items = [wanted(body, origin.put(f"/{n}", body)) for n, body in enumerate(bodies)]
    rules = [origin.on("GET", f"/{n}$").reset(after=n) for n in range(len(bodies))]
    assert {outcome.status for outcome in fetch(cache, *items)} == {"fetched"}
    assert [rule.fired for rule in rules] == [1] * len(bodies)


def test_resets_that_each_bring_something_are_outlasted(origin: Origin, cache: Cache) -> None:
    download = wanted(DATA, origin.put("/a", DATA))
    origin.on("GET", "/a", times=20).truncate(140_000)
    (outcome,) = fetch(cache, download)
    assert outcome.status == "fetched"
    assert origin.count() == 21
    ranges = [exchange.request.header("range") for exchange in origin.exchanges]
    assert ranges[:3] == [None, "bytes=140000-", "bytes=280000-"]
    assert outcome.received == len(DATA)


def test_resets_that_bring_nothing_come_to_an_end(origin: Origin, cache: Cache) -> None:
    download = wanted(DATA, origin.put("/a", DATA))
    origin.on("GET", "/a", times=None).reset()
    assert "(3 times)" in failed(cache, download)
    assert origin.count() == 3


def test_a_server_that_resets_after_every_byte_comes_to_an_end(
    origin: Origin, cache: Cache
) -> None:
    download = wanted(DATA, origin.put("/a", DATA))
    origin.on("GET", "/a", times=None).truncate(1)
    assert "(100 times)" in failed(cache, download)


def test_what_a_killed_run_left_is_verified_from_its_first_byte_and_continued(
    origin: Origin, cache: Cache
) -> None:
    download = wanted(DATA, origin.put("/a", DATA))
    part = cache.directory / f"{download.name}.part"
    part.write_bytes(DATA[:1_500_001])
    (outcome,) = fetch(cache, download)
    assert (outcome.status, outcome.received) == ("fetched", len(DATA) - 1_500_001)
    assert not part.exists()


@pytest.mark.parametrize("left", [b"?" + DATA[1:2_000_000], b"?" * len(DATA), DATA + b"more"])
def test_a_part_with_other_bytes_is_thrown_away(origin: Origin, cache: Cache, left: bytes) -> None:
    download = wanted(DATA, origin.put("/a", DATA))
    (cache.directory / f"{download.name}.part").write_bytes(left)
    (outcome,) = fetch(cache, download)
    assert outcome.status == "fetched"


def test_a_part_that_is_the_whole_file_needs_no_byte_more(origin: Origin, cache: Cache) -> None:
    download = wanted(DATA, origin.put("/a", DATA))
    (cache.directory / f"{download.name}.part").write_bytes(DATA)
    (outcome,) = fetch(cache, download)
    assert (outcome.status, outcome.received) == ("fetched", 0)


def test_a_server_without_ranges_sends_the_file_again(origin: Origin, cache: Cache) -> None:
    download = wanted(DATA, origin.put("/a", DATA, ranges="ignored"))
    origin.on("GET", "/a").reset(after=2_000_000)
    (outcome,) = fetch(cache, download)
    assert outcome.status == "fetched"
    assert len(DATA) < outcome.received <= len(DATA) + 2_000_000


def test_other_bytes_on_resume_cost_a_fresh_start_and_nothing_else(
    origin: Origin, cache: Cache
) -> None:
    download = wanted(DATA, origin.put("/a", DATA, ranges="shifted"))
    origin.on("GET", "/a").reset(after=1_000_000)
    (outcome,) = fetch(cache, download)
    assert outcome.status == "fetched"
    assert [e.request.header("range") for e in origin.exchanges][-1] is None


def test_a_range_that_was_not_asked_for_is_not_taken(origin: Origin, cache: Cache) -> None:
    def handler(request: object) -> Answer:
        headers = {"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"}
        return Answer.of(206, headers, DATA[5:])

    download = wanted(DATA, origin.handle("/a", handler))
    assert "HTTP 206" in failed(cache, download)
    (cache.directory / f"{download.name}.part").write_bytes(DATA[:100])
    assert "HTTP 206" in failed(cache, download)


@pytest.mark.parametrize("most", [700_000, len(DATA)])
def test_a_server_that_gives_a_file_in_parts_is_asked_for_all_of_them(
    origin: Origin, cache: Cache, most: int
) -> None:
    def handler(request: Incoming) -> Answer:
        first = int((request.header("range") or "bytes=0-").partition("=")[2].rstrip("-"))
        last = min(first + most, len(DATA)) - 1
        headers = {"Content-Range": f"bytes {first}-{last}/{len(DATA)}"}
        return Answer.of(206, headers, DATA[first : last + 1])

    (outcome,) = fetch(cache, wanted(DATA, origin.handle("/a", handler)))
    assert (outcome.status, outcome.received) == ("fetched", len(DATA))
    assert origin.count() == -(-len(DATA) // most)


def test_a_server_that_promises_more_than_there_is_comes_to_an_end(
    origin: Origin, cache: Cache
) -> None:
    def handler(request: Incoming) -> Answer:
        first = int((request.header("range") or "bytes=0-").partition("=")[2].rstrip("-"))
        if first:
            return Answer.of(206, {"Content-Range": f"bytes {first}-{first}/9999"}, b"")
        return Answer.of(206, {"Content-Range": f"bytes 0-{len(SMALL) - 1}/9999"}, SMALL)

    said = failed(cache, wanted(SMALL + b"more", origin.handle("/a", handler)))
    assert "expected sha256:" in said
    assert origin.count() <= 9
