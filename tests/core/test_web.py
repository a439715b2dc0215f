"""URLs and headers of strangers: what is shown of them, and what they ask for."""

from __future__ import annotations

import pytest

from dag.core.web import (
    ContentRange,
    check_uri,
    host_of,
    is_loopback,
    may_heal,
    parse_retry_after,
    redact,
    status_hint,
)


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
        ("me:s3cret@example.com:a/b", "***@example.com:a/b"),
        ("git@example.com:a/b", "git@example.com:a/b"),
        ("http://u:p@exa\u2100mple.com/a", "http://***@exa\u2100mple.com/a"),
    ],
)
def test_what_logs_in_is_not_shown(uri: str, shown: str) -> None:
    assert redact(uri) == shown


def test_what_may_heal_is_asked_again() -> None:
    lasting = {200, 304, 400, 401, 403, 404, 410, 451, 501, 505}
    healing = {408, 425, 429, 500, 502, 503, 504, 520}
    assert {status for status in lasting | healing if may_heal(status)} == healing


def test_retry_after_is_seconds_or_a_date() -> None:
    assert parse_retry_after("7", 0) == parse_retry_after("\x1e7", 0) == 7
    assert parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 20) == 40
    assert parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 100) == 0
    assert [parse_retry_after(text, 0) for text in (None, "", "-1", "soon", "٣", "1" * 40)] == [
        None
    ] * 6


def test_a_content_range_is_read_as_far_as_it_says_something() -> None:
    assert ContentRange.parse("bytes 5-9/10") == ContentRange(5, 10, 10)
    assert ContentRange.parse("bytes 5-9/*") == ContentRange(5, None, 10)
    assert ContentRange.parse("bytes */10") == ContentRange(None, 10)
    for odd in (None, "", "bytes 5/10", "items 1-2/3", f"bytes 1-2/{'9' * 5000}"):
        assert ContentRange.parse(odd) == ContentRange()


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:1", "[::1]:5", "::1"])
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1.example.com", "localhost.example.com", "[::2]", "1"])
def test_other_machines_are_not_taken_for_this_one(host: str) -> None:
    assert not is_loopback(host)


def test_an_answer_that_may_heal_is_worth_another_try() -> None:
    for status in (429, 500, 502, 503, 504):
        assert status_hint("https://a.example", status).startswith("that may pass: try again later")
    assert "login" in status_hint("https://a.example", 401)
    assert "is the URL right?" in status_hint("https://a.example", 410)


@pytest.mark.parametrize("url", ["https://a.example/os", "https://me:secret@a.example/os"])
def test_a_login_is_told_to_apko_by_its_variable(url: str) -> None:
    assert status_hint(url, 401).endswith("PASSWORD says it to dag and melange")


@pytest.mark.parametrize(
    "url", ["https://a.example:8443/os", "http://[::1]:80", "https://[::1]/os"]
)
def test_a_login_at_a_port_is_told_to_be_none_that_apko_can_have(url: str) -> None:
    """It takes the variable apart at each colon, and compares the second part with host and port."""
    assert "can name no port" in status_hint(url, 403)
