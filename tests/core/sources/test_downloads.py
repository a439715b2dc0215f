"""The files that are fetched, with their names, and those that are refused."""

from __future__ import annotations

import pytest

from dag.core.package.model import Fetch
from dag.core.sources.downloads import (
    SourceDigest,
    downloads_of,
    is_cache_name,
    mirror_uris,
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
    found, problems = downloads_of([step(sha256=A, sha512=LONG)])
    assert problems == []
    assert [digest.name for digest in found[0].digests] == [f"sha256:{A}", f"sha512:{LONG}"]
    assert found[0].name == f"sha256:{A}"
    found, _ = downloads_of([step(sha512=LONG)])
    assert found[0].name == f"sha512:{LONG}"


def test_steps_that_want_the_same_bytes_are_one_download_with_all_their_uris_and_places() -> None:
    steps = [
        step("https://one/x", A, line=1),
        step("https://two/x", A, LONG, line=2),
        step("https://one/x", A, line=3),
        step("https://one/y", B, line=4),
    ]
    first, second = downloads_of(steps)[0]
    assert first.uris == ("https://one/x", "https://two/x")
    assert [place.line for place in first.places] == [1, 2, 3]
    assert [str(place) for place in first.origins] == ["x.yaml:1", "x.yaml:2"]
    assert [digest.algorithm for digest in first.digests] == ["sha256", "sha512"]
    assert second.digests == (SourceDigest("sha256", B),)


def test_digests_that_contradict_each_other_stay_apart() -> None:
    found, _ = downloads_of([step(sha256=A, sha512=LONG), step(sha256=A, sha512="d" * 128)])
    assert len(found) == 2


@pytest.mark.parametrize(
    "text",
    ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, f"../{'a' * 61}", f"{'a' * 63}\n", "٣" * 64],
)
def test_only_lower_case_hex_of_the_right_length_is_a_digest(text: str) -> None:
    with pytest.raises(UsageError, match="64 lower-case hex"):
        SourceDigest.parse("sha256", text)


def test_a_step_without_a_checksum_is_a_problem_with_file_and_line() -> None:
    found, problems = downloads_of([step(line=7), step(line=8, none=True), step(sha256=A)])
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
    found, problems = downloads_of([step(uri, A)])
    assert found == []
    assert len(problems) == 1


@pytest.mark.parametrize("host", ["exa\u2100mple.com", "[::1", "host:port"])
def test_a_uri_that_is_none_is_said_without_what_logs_in(host: str) -> None:
    _, (problem,) = downloads_of([step(f"http://user:s3cret@{host}/a", A)])
    assert "s3cret" not in str(problem)
    assert "no uri" in problem.message


def test_a_mirror_is_asked_by_digest() -> None:
    (download,) = downloads_of([step(sha256=A, sha512=LONG)])[0]
    assert mirror_uris(["http://m/c/"], download) == (
        f"http://m/c/sha256:{A}",
        f"http://m/c/sha512:{LONG}",
    )


def test_a_name_in_the_cache_is_a_whole_digest() -> None:
    assert is_cache_name(f"sha256:{A}")
    assert is_cache_name(f"sha512:{LONG}")
    assert not is_cache_name(f"sha512:{A}")
    assert not is_cache_name(f"sha256:{A}.part")
