"""Downloads from servers that behave, and from many that do not: nothing wrong gets a name."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import ssl
from typing import TYPE_CHECKING

import pytest

from dag.core.definitions import Fetch
from dag.core.sources import Download, RetryPolicy, downloads
from dag.errors import InfrastructureError
from dag.io.cache import Cache
from dag.io.downloads import Downloader, Outcome
from dag.io.transport import Limits
from tests.faults import Answer, Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

DATA = random.Random(5).randbytes(3_000_000)
SMALL = b"a small source\n"

# Short, so that what has to time out does so at once; nothing is measured here.
LIMITS = Limits(
    connect=5, stall=5, retry=RetryPolicy(attempts=3, first=0.001, longest=0.01, longest_asked=1)
)
IMPATIENT = Limits(
    connect=0.3, stall=0.3, retry=RetryPolicy(attempts=2, first=0.001, longest=0.001)
)


class Silent:
    """Watches, and remembers what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.open: set[str] = set()

    def begin(self, key: str, label: str) -> None:
        assert key not in self.open
        self.open.add(key)

    def advance(self, key: str, done: int, total: int | None) -> None:
        assert key in self.open
        assert done >= 0

    def end(self, key: str, *, ok: bool) -> None:
        self.open.remove(key)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wanted(data: bytes, *uris: str, sha512: bool = False) -> Download:
    second = hashlib.sha512(data).hexdigest() if sha512 else ""
    steps = [
        Fetch(uri, sha256(data), second, False, "x.yaml", line)
        for line, uri in enumerate(uris, start=10)
    ]
    (download,), problems = downloads(steps)
    assert not problems
    return download


def fetch(
    cache: Cache,
    *items: Download,
    limits: Limits = LIMITS,
    mirrors: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
    watcher: Silent | None = None,
    verify: bool = False,
) -> list[Outcome]:
    watcher = watcher or Silent()
    downloader = Downloader(cache, watcher, limits=limits, mirrors=mirrors, tls=tls, verify=verify)
    outcomes = asyncio.run(downloader.run(items))
    assert not watcher.open
    verify_everything(cache)
    return outcomes


def verify_everything(cache: Cache) -> None:
    """The invariant of every test here: what has a final name has that content."""
    for name in cache.names():
        algorithm, _, digest = name.partition(":")
        assert hashlib.new(algorithm, (cache.directory / name).read_bytes()).hexdigest() == digest


def failed(cache: Cache, *items: Download, limits: Limits = LIMITS) -> str:
    """Fetch what cannot be had; return what is said of it."""
    outcomes = fetch(cache, *items, limits=limits)
    assert [outcome.status for outcome in outcomes] == ["failed"] * len(items)
    assert cache.names() == []
    return "\n".join(str(problem) for outcome in outcomes for problem in outcome.problems)


def files(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.directory.iterdir() if path.name != ".dag")


# What is asked for comes, once.


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
        # Nobody passes before three are here: fewer at once would never come to an end.
        await three.wait()
        yield b""
        active.pop()

    def handler(request: object) -> Answer:
        return Answer(status=200, body=body, framing="chunked")

    items = [wanted(f"{n}".encode(), origin.handle(f"/{n}", handler)) for n in range(12)]
    limits = Limits(jobs=jobs, per_host=per_host, retry=LIMITS.retry)
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


# Broken connections: what came is kept.


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
    assert "broke off 100 times" in failed(cache, download)


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


# Servers that lie, stall, or will not end.


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
    (download,), _ = downloads([step])
    assert "expected sha512:000" in failed(cache, download)


def test_a_body_shorter_than_its_length_is_resumed_or_given_up(
    origin: Origin, cache: Cache
) -> None:
    download = wanted(SMALL, origin.put("/a", SMALL, length=len(SMALL) + 5, ranges="ignored"))
    assert "protocol or off" in failed(cache, download)


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
    limits = Limits(max_size=2_000_000, retry=LIMITS.retry)
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

    # Any speed is too slow here, so that the test need not be slow itself.
    limits = Limits(stall=0.2, slowest=1 << 40, retry=IMPATIENT.retry)
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


# Redirects and TLS.


def test_redirects_are_followed_also_when_the_download_is_resumed(
    origin: Origin, cache: Cache
) -> None:
    origin.put("/real", DATA)
    origin.on("GET", "/real").reset(after=100_000)
    uri = origin.redirect("/a", "b?x=1")
    origin.redirect("/b", origin.url + "/real", status=307)
    (outcome,) = fetch(cache, wanted(DATA, uri))
    assert (outcome.status, outcome.received) == ("fetched", len(DATA))


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", "http://[", "http://a b/"],
)
def test_a_redirect_to_anything_but_http_is_refused(
    origin: Origin, cache: Cache, target: str
) -> None:
    assert "redirects to" in failed(cache, wanted(SMALL, origin.redirect("/a", target)))
    assert origin.count() == 1


def test_redirects_in_a_loop_end(origin: Origin, cache: Cache) -> None:
    origin.redirect("/b", "/a")
    assert "more than 10 redirects" in failed(cache, wanted(SMALL, origin.redirect("/a", "/b")))
    assert origin.count() == 11


def test_a_certificate_that_is_not_trusted_is_not_asked_twice(cache: Cache) -> None:
    with Origin(tls=True) as origin:
        said = failed(cache, wanted(SMALL, origin.put("/a", SMALL)))
        assert "TLS: " in said
        assert "certificate" in said
        assert origin.count() == 0
        trusted = ssl.create_default_context(cafile=str(origin.ca_file))
        (outcome,) = fetch(cache, wanted(SMALL, origin.url + "/a"), tls=trusted)
        assert outcome.status == "fetched"


def test_a_server_that_speaks_no_tls_is_a_message(origin: Origin, cache: Cache) -> None:
    origin.put("/a", SMALL)
    uri = origin.url.replace("http:", "https:") + "/a"
    # OpenSSL reads HTTP's words, or the server resets what it cannot read: whoever is first.
    said = failed(cache, wanted(SMALL, uri))
    assert "TLS: " in said or "no connection: " in said


def test_a_port_where_nobody_listens_is_a_message(origin: Origin, cache: Cache) -> None:
    origin.down()
    assert "no connection" in failed(cache, wanted(SMALL, origin.url + "/a"))


def test_a_password_in_a_uri_logs_in_and_is_not_shown(origin: Origin, cache: Cache) -> None:
    origin.on("GET", "/a").answer(403)
    uri = origin.url.replace("http://", "http://user:secret@") + "/a"
    said = failed(cache, wanted(SMALL, uri))
    assert "secret" not in said
    assert "***@127.0.0.1" in said
    assert (origin.exchanges[0].request.header("authorization") or "").startswith("Basic ")


def test_a_redirect_is_followed_whatever_comes_with_it(origin: Origin, cache: Cache) -> None:
    origin.put("/sp%20ace", SMALL)
    origin.redirect("/blank", "/sp ace")
    headers = {"Location": origin.put("/real", DATA), "Content-Encoding": "gzip"}
    packed = origin.handle("/packed", lambda _: Answer.of(302, headers, b"not packed"))
    outcomes = fetch(cache, wanted(SMALL, origin.url + "/blank"), wanted(DATA, packed))
    assert [outcome.status for outcome in outcomes] == ["fetched", "fetched"]


def test_the_body_of_a_redirect_is_not_waited_for(origin: Origin, cache: Cache) -> None:
    headers = {"Location": origin.put("/real", SMALL), "Content-Length": "60000"}
    uri = origin.handle("/a", lambda _: Answer.of(302, headers, bytes(60_000)))
    origin.on("GET", "/a").stall(after=1)
    patient = Limits(connect=600, stall=600)
    (outcome,) = fetch(cache, wanted(SMALL, uri), limits=patient)
    assert outcome.status == "fetched"


def test_cookies_are_neither_kept_nor_looked_at(origin: Origin, cache: Cache) -> None:
    headers = {"Set-Cookie": "a=\xff"}
    odd = origin.handle("/odd", lambda _: Answer.of(200, headers, SMALL))
    good = origin.handle("/good", lambda _: Answer.of(200, {"Set-Cookie": "b=1"}, DATA))
    again = origin.redirect("/again", good)
    outcomes = fetch(cache, wanted(SMALL, odd), wanted(DATA, again), limits=Limits(per_host=1))
    assert [outcome.status for outcome in outcomes] == ["fetched", "fetched"]
    assert {exchange.request.header("cookie") for exchange in origin.exchanges} == {None}


def test_whatever_goes_wrong_with_one_is_its_failure(
    origin: Origin, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        received = 0

        def __init__(self, *_: object) -> None:
            raise RuntimeError("something that nobody thought of")

    monkeypatch.setattr("dag.io.downloads.Source", Broken)
    said = failed(cache, wanted(SMALL, origin.put("/a", SMALL)))
    assert said.endswith("RuntimeError: something that nobody thought of")


def test_two_files_that_contradict_each_other_are_one_file_and_one_failure(
    origin: Origin, cache: Cache
) -> None:
    steps = [
        Fetch(origin.put("/a", SMALL), sha256(SMALL), "0" * 128, False, "x.yaml", 1),
        Fetch(origin.url + "/a", sha256(SMALL), hashlib.sha512(SMALL).hexdigest(), False, "y", 2),
    ]
    items, _ = downloads(steps)
    for both in (items, items[::-1]):
        outcomes = {outcome.download.key: outcome for outcome in fetch(cache, *both)}
        assert [outcomes[item.key].status == "failed" for item in items] == [True, False]
        assert str(outcomes[items[0].key].problems[0]).startswith("x.yaml:1: ")
        for name in cache.names():
            (cache.directory / name).unlink()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://user:s3cret@127.0.0.1:1"),
        ("HTTP_PROXY", "foo://user:s3cret@x"),
        ("HTTPS_PROXY", "http://user:s3cret@[::1"),
        ("http_proxy", "http://user:s3cret@127.0.0.1:99999"),
        ("HTTP_PROXY", "http://user:s3cret@"),
    ],
)
def test_a_proxy_that_is_none_is_named_without_its_password(
    origin: Origin, cache: Cache, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(variable, value)
    download = wanted(SMALL, origin.put("/a", SMALL))
    with pytest.raises(InfrastructureError, match=rf"^\${variable} ") as caught:
        fetch(cache, download)
    assert "s3cret" not in caught.value.message
    monkeypatch.setenv("NO_PROXY", "*")
    (outcome,) = fetch(cache, download)
    assert outcome.status == "fetched"


@pytest.mark.parametrize("text", [None, "no certificate\n"])
def test_certificates_that_cannot_be_read_are_an_error_only_where_they_are_needed(
    origin: Origin, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    (outcome,) = fetch(cache, wanted(SMALL, origin.put("/a", SMALL)))
    assert outcome.status == "fetched"
    secure = origin.url.replace("http:", "https:")
    with pytest.raises(InfrastructureError, match="SSL_CERT_FILE") as caught:
        fetch(cache, wanted(DATA, f"{secure}/b"))
    assert str(path) in caught.value.message


# What lies in the cache already.


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
    monkeypatch.setattr("dag.io.cache.os.write", full)
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
