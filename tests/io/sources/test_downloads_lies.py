"""If servers lie, stall or never end, nothing wrong gets a name in the cache."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from dag.core.package.model import Fetch
from dag.core.sources.downloads import downloads_of
from dag.io.retries import RetryPolicy
from dag.io.sources.cache import Cache
from dag.io.sources.transport import TransferLimits
from tests.support.downloading import (
    DATA,
    IMPATIENT,
    LIMITS,
    SMALL,
    Silent,
    failed,
    fetch,
    files,
    sha256,
    wanted,
)
from tests.support.faults import Answer, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_wrong_file_is_named_with_place_uri_and_both_digests(
    origin: Origin, cache: Cache
) -> None:
    uri = origin.put("/a", b"something else")
    said = failed(cache, wanted(SMALL, uri))
    expected, got = sha256(SMALL), sha256(b"something else")
    assert said == f"x.yaml:10: {uri}: expected sha256:{expected}, got {got}"
    assert files(cache) == []


def test_a_wrong_second_digest_is_wrong_too(origin: Origin, cache: Cache) -> None:
    step = Fetch(origin.put("/a", SMALL), sha256(SMALL), "0" * 128, False, "x.yaml", 10)
    (download,), _ = downloads_of([step])
    assert "expected sha512:000" in failed(cache, download)


def test_a_body_shorter_than_its_length_is_resumed_or_given_up(
    origin: Origin, cache: Cache
) -> None:
    download = wanted(SMALL, origin.put("/a", SMALL, length=len(SMALL) + 5, ranges="ignored"))
    assert "or broke off: " in failed(cache, download)


def test_a_body_longer_than_its_length_is_another_file(origin: Origin, cache: Cache) -> None:
    said = failed(cache, wanted(SMALL, origin.put("/a", SMALL, length=5)))
    assert f"got {sha256(SMALL[:5])}" in said


def test_a_body_cut_off_where_nobody_can_see_it_is_asked_for_again(
    origin: Origin, cache: Cache
) -> None:
    download = wanted(SMALL, origin.put("/a", SMALL))
    origin.on("GET", "/a").raw(b"HTTP/1.1 200 OK\r\n\r\na small")
    (outcome,) = fetch(cache, download)
    assert outcome.status == "fetched"


@pytest.mark.parametrize("length", [None, 1 << 50])
def test_an_endless_body_ends_at_max_size(origin: Origin, cache: Cache, length: int | None) -> None:
    download = wanted(SMALL, origin.endless("/a", length=length))
    limits = TransferLimits(max_size=2_000_000, retry=LIMITS.retry)
    assert "--max-size" in failed(cache, download, limits=limits)
    assert files(cache) == []


def test_a_stall_before_and_after_the_first_byte_is_an_end(origin: Origin, cache: Cache) -> None:
    early = wanted(SMALL, origin.put("/early", SMALL))
    late = wanted(DATA, origin.put("/late", DATA))
    origin.on("GET", "/early", times=None).stall()
    origin.on("GET", "/late", times=None).stall(after=0)
    said = failed(cache, early, late, limits=IMPATIENT)
    assert said.count("0.3 s (2 times)") == 2


def test_a_stall_in_the_middle_is_resumed(origin: Origin, cache: Cache) -> None:
    download = wanted(DATA, origin.put("/a", DATA))
    origin.on("GET", "/a").stall(after=1_000_000)
    (outcome,) = fetch(cache, download, limits=IMPATIENT)
    assert (outcome.status, outcome.received) == ("fetched", len(DATA))


def test_a_trickle_is_a_stall(origin: Origin, cache: Cache) -> None:
    def drops() -> Iterator[bytes]:
        while True:
            yield b"."

    def handler(request: object) -> Answer:
        return Answer(status=200, body=drops, framing="chunked")

    # Any speed is too slow here, so that the test itself is not slow.
    limits = TransferLimits(stall=0.2, slowest=1 << 40, retry=IMPATIENT.retry)
    said = failed(cache, wanted(DATA, origin.handle("/a", handler)), limits=limits)
    assert "bytes a second" in said


@pytest.mark.parametrize("raw", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nbroken", b"\0" * 99])
def test_what_is_no_http_is_a_message(origin: Origin, cache: Cache, raw: bytes) -> None:
    origin.on("GET", "/a", times=None).raw(raw)
    assert "(3 times)" in failed(cache, wanted(SMALL, origin.url + "/a"))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 304, 999])
def test_an_answer_that_will_stay_is_not_asked_for_again(
    origin: Origin, cache: Cache, status: int
) -> None:
    origin.on("GET", "/a", times=None).answer(status, {}, SMALL if status > 399 else b"")
    said = failed(cache, wanted(SMALL, origin.url + "/a"))
    if status == 999:
        assert "HTTP 999 (3 times)" in said
    else:
        assert f"HTTP {status}" in said
        assert origin.count() == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_answer_that_may_heal_is_asked_for_again(
    origin: Origin, cache: Cache, status: int
) -> None:
    download = wanted(SMALL, origin.put("/a", SMALL))
    origin.on("GET", "/a", times=2).answer(status, {}, b"busy")
    (outcome,) = fetch(cache, download)
    assert outcome.status == "fetched"
    assert origin.count() == 3


def test_retry_after_is_waited_for_and_beyond_patience_it_is_said(
    origin: Origin, cache: Cache
) -> None:
    download = wanted(SMALL, origin.put("/a", SMALL))
    origin.on("GET", "/a").answer(429, {"Retry-After": "1"})
    loop_times: list[float] = []

    class Clocked(Silent):
        def begin(self, key: str, label: str) -> None:
            loop_times.append(asyncio.get_running_loop().time())
            super().begin(key, label)

        def end(self, key: str, *, ok: bool) -> None:
            loop_times.append(asyncio.get_running_loop().time())
            super().end(key, ok=ok)

    (outcome,) = fetch(cache, download, watcher=Clocked())
    assert outcome.status == "fetched"
    assert loop_times[1] - loop_times[0] >= 1
    other = wanted(DATA, origin.put("/b", DATA))
    origin.on("GET", "/b").answer(503, {"Retry-After": "3600"})
    (outcome,) = fetch(cache, other)
    assert outcome.status == "failed"
    assert "asks to come back in 3600 s" in str(outcome.problems[0])


@pytest.mark.long
def test_a_host_that_only_asks_for_patience_is_given_up_for_all_of_its_files(
    origin: Origin, cache: Cache
) -> None:
    items = [wanted(b"%d" % number, f"{origin.url}/{number}") for number in range(100)]
    origin.on("GET", times=None).answer(429, {"Retry-After": "1"})
    said = failed(cache, *items).splitlines()
    assert len(said) == 100
    # At once, and then one for each time that it was waited for.
    assert origin.count() < 50
    assert "the server asks to come back later, again and again" in said[-1]


def test_a_host_that_asks_for_too_much_patience_is_not_waited_for_by_any_of_its_files(
    origin: Origin, cache: Cache
) -> None:
    items = [wanted(b"%d" % number, f"{origin.url}/{number}") for number in range(40)]
    origin.on("GET", times=None).answer(503, {"Retry-After": "3600"})
    limits = TransferLimits(retry=RetryPolicy(longest_asked=600))
    said = failed(cache, *items, limits=limits).splitlines()
    assert all("asks to come back in 3600 s" in line for line in said)
    assert origin.count() == 40


def test_a_compressed_answer_is_taken_as_it_is_and_the_reason_is_said(
    origin: Origin, cache: Cache
) -> None:
    said = failed(cache, wanted(SMALL, origin.put("/a", SMALL, gzipped=True)))
    assert "Content-Encoding 'gzip'" in said


def test_a_tarball_served_with_content_encoding_keeps_its_bytes(
    origin: Origin, cache: Cache
) -> None:
    import gzip

    stored = gzip.compress(SMALL, mtime=0)
    (outcome,) = fetch(cache, wanted(stored, origin.put("/a.gz", SMALL, gzipped=True)))
    assert outcome.status == "fetched"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_the_protocol_is_a_message(
    origin: Origin, cache: Cache, raw: bytes
) -> None:
    origin.on("GET", "/a", times=None).raw(raw)
    assert "broke the protocol, or broke off" in failed(cache, wanted(SMALL, origin.url + "/a"))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ],
)
def test_a_body_that_ends_with_the_connection_is_taken(
    origin: Origin, cache: Cache, head: bytes
) -> None:
    origin.on("GET", "/a", times=None).raw(head + SMALL)
    (outcome,) = fetch(cache, wanted(SMALL, origin.url + "/a"))
    assert outcome.status == "fetched"


def test_a_head_that_trickles_is_a_stall(cache: Cache) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def trickle() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        connection.sendall(b"HTTP/1.1 200 OK\r\n")
                        while not ended.wait(0.05):
                            connection.sendall(b"X")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            uri = f"http://127.0.0.1:{listener.getsockname()[1]}/a"
            assert "it stalled" in failed(cache, wanted(SMALL, uri), limits=IMPATIENT)
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_web_page_in_the_place_of_a_file_is_said(origin: Origin, cache: Cache) -> None:
    page = Answer.of(200, {"Content-Type": "text/html; charset=utf-8"}, b"<p>log in</p>")
    origin.handle("/a", lambda _: page)
    assert "(the server says that it is a web page)" in failed(
        cache, wanted(SMALL, origin.url + "/a")
    )
    # As with nginx, which goes by the end of the name.
    page = Answer.of(200, {"Content-Type": "application/gzip"}, b"<!DOCTYPE html><p>log in</p>")
    assert failed(cache, wanted(SMALL, origin.url + "/a")).endswith(" (it is a web page)")


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_files(
    origin: Origin, cache: Cache
) -> None:
    lie = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    origin.put("/a", SMALL)
    origin.on("GET", "/a").raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(SMALL) + SMALL + lie + b"lie",
        closes=False,
    )
    other = wanted(DATA, origin.put("/b", DATA))
    limits = TransferLimits(per_host=1, retry=LIMITS.retry)
    outcomes = fetch(cache, wanted(SMALL, origin.url + "/a"), other, limits=limits)
    assert [outcome.received for outcome in outcomes] == [len(SMALL), len(DATA)]
