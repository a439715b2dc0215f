"""What is fetched, under which name, and what is refused."""

from __future__ import annotations

import pytest

from dag.core.package.model import Fetch
from dag.core.sources.downloads import (
    Digest,
    RetryPolicy,
    check_uri,
    content_range,
    downloads,
    host_of,
    is_cache_name,
    may_heal,
    mirror_uris,
    redact,
    retry_after,
)
from dag.errors import UsageError

A, B = "a" * 64, "b" * 64
LONG = "c" * 128


def step(
    uri: str = "https://example.com/x.tar.gz",
    sha256: str = "",
    sha512: str = "",
    *,
    line: int = 1,
    none: bool = False,
) -> Fetch:
    return Fetch(uri, sha256, sha512, none, "x.yaml", line)


def test_a_file_gets_every_name_that_its_step_has_a_checksum_for() -> None:
    found, problems = downloads([step(sha256=A, sha512=LONG)])
    assert problems == []
    assert [digest.name for digest in found[0].digests] == [f"sha256:{A}", f"sha512:{LONG}"]
    assert found[0].name == f"sha256:{A}"
    found, _ = downloads([step(sha512=LONG)])
    assert found[0].name == f"sha512:{LONG}"


def test_steps_that_want_the_same_bytes_are_one_download_with_all_their_uris_and_places() -> None:
    steps = [
        step("https://one/x", A, line=1),
        step("https://two/x", A, LONG, line=2),
        step("https://one/x", A, line=3),
        step("https://one/y", B, line=4),
    ]
    first, second = downloads(steps)[0]
    assert first.uris == ("https://one/x", "https://two/x")
    assert [place.line for place in first.places] == [1, 2, 3]
    assert [str(place) for place in first.origins] == ["x.yaml:1", "x.yaml:2"]
    assert [digest.algorithm for digest in first.digests] == ["sha256", "sha512"]
    assert second.digests == (Digest("sha256", B),)


def test_digests_that_contradict_each_other_stay_apart() -> None:
    found, _ = downloads([step(sha256=A, sha512=LONG), step(sha256=A, sha512="d" * 128)])
    assert len(found) == 2


@pytest.mark.parametrize(
    "text",
    ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, f"../{'a' * 61}", f"{'a' * 63}\n", "٣" * 64],
)
def test_only_lower_case_hex_of_the_right_length_is_a_digest(text: str) -> None:
    with pytest.raises(UsageError, match="64 lower-case hex"):
        Digest.parse("sha256", text)


def test_a_step_without_a_checksum_is_a_problem_with_file_and_line() -> None:
    found, problems = downloads([step(line=7), step(line=8, none=True), step(sha256=A)])
    assert len(found) == 1
    where, what = "https://example.com/x.tar.gz", "without a checksum nothing can be cached"
    assert [str(problem) for problem in problems] == [
        f"x.yaml:7: {where}: no expected-sha256 and no expected-sha512: {what}",
        f"x.yaml:8: {where}: expected-none: {what}",
    ]


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "ftp://example.com/x",
        "gopher://example.com/",
        "https:///x",
        "/x",
        "-x",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com/${{vars.x}}",
        "https://[::1/",
        "",
    ],
)
def test_other_uris_than_http_and_https_are_problems(uri: str) -> None:
    found, problems = downloads([step(uri, A)])
    assert found == []
    assert len(problems) == 1


def test_the_host_counts_with_its_port() -> None:
    assert host_of("https://Example.com/x") == "example.com:443"
    assert host_of("http://user@example.com:81/x") == "example.com:81"
    assert check_uri("https://[::1]:8/x").hostname == "::1"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:pass@example.com/x?a=b", "https://***@example.com/x?a=b"),
        ("https://token@example.com/x", "https://***@example.com/x"),
        ("https://example.com/x?access_token=1&b=2", "https://example.com/x?access_token=***&b=2"),
        ("https://example.com/x?X-Amz-Signature=1", "https://example.com/x?X-Amz-Signature=***"),
        ("https://example.com/x?b=%2f", "https://example.com/x?b=%2f"),
        ("https://u:p@[::1/x", "https://***@[::1/x"),
        ("https://u:p@wd@[::1/x?token=1", "https://***@[::1/x"),
        ("http://u:p@exa\u2100mple.com/a", "http://***@exa\u2100mple.com/a"),
    ],
)
def test_what_logs_in_is_not_shown(uri: str, shown: str) -> None:
    assert redact(uri) == shown


@pytest.mark.parametrize("host", ["exa\u2100mple.com", "[::1", "host:port"])
def test_a_uri_that_is_none_is_said_without_what_logs_in(host: str) -> None:
    _, (problem,) = downloads([step(f"http://user:s3cret@{host}/a", A)])
    assert "s3cret" not in str(problem)
    assert "no uri" in problem.message


def test_a_mirror_is_asked_by_digest() -> None:
    (download,) = downloads([step(sha256=A, sha512=LONG)])[0]
    assert mirror_uris(["http://m/c/"], download) == (
        f"http://m/c/sha256:{A}",
        f"http://m/c/sha512:{LONG}",
    )


def test_retries_back_off_and_end() -> None:
    policy = RetryPolicy(attempts=4, first=1, longest=3, longest_asked=60)
    assert [policy.pause(n, None) for n in range(5)] == [0, 1, 2, 3, None]
    assert policy.pause(1, 42) == 42
    assert policy.pause(1, 61) is None
    assert policy.pause(4, 1) is None


def test_what_may_heal_is_asked_again() -> None:
    assert [s for s in (200, 400, 403, 404, 408, 410, 425, 429, 451, 500, 503) if may_heal(s)] == [
        408,
        425,
        429,
        500,
        503,
    ]


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("7", 0) == 7
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 20) == 40
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 100) == 0
    assert [retry_after(text, 0) for text in (None, "", "-1", "soon", "٣", "1" * 40)] == [None] * 6


def test_content_range() -> None:
    assert content_range("bytes 5-9/10") == (5, 10)
    assert content_range("bytes 5-9/*") == (5, None)
    assert content_range("bytes */10") == (None, 10)
    assert [content_range(t) for t in (None, "", "bytes 5/10", "items 1-2/3")] == [(None, None)] * 4


def test_cache_names() -> None:
    assert is_cache_name(f"sha256:{A}")
    assert is_cache_name(f"sha512:{LONG}")
    assert not is_cache_name(f"sha512:{A}")
    assert not is_cache_name(f"sha256:{A}.part")
