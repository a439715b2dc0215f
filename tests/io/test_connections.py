"""Whether a server can be reached at all."""

from __future__ import annotations

import socket

import pytest

from dag.io.connections import no_connection, useless_proxy


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_server_that_listens_can_be_reached_and_is_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        assert no_connection(f"http://127.0.0.1:{server.getsockname()[1]}/a") is None
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1) == b""


def test_the_reason_is_told_and_names_the_host() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for scheme in ("http", "https", "git"):
            assert no_connection(f"{scheme}://127.0.0.1:{port}/a") == (
                "there is no connection to 127.0.0.1: Connection refused"
            )
    said = no_connection("https://nowhere.invalid/a")
    assert said is not None
    assert said.startswith("there is no connection to nowhere.invalid: ")


@pytest.mark.parametrize(
    "url", ["", "file:///etc/passwd", "git@example.com:a/b", "http://[", "http://a:99999999/", "x"]
)
def test_of_what_names_no_server_nobody_can_tell(url: str) -> None:
    assert no_connection(url) is None


def test_what_no_name_can_be_has_no_connection() -> None:
    assert (no_connection(f"http://{'a' * 70}.invalid/") or "").startswith("there is no connection")


def test_behind_a_proxy_it_is_the_proxy_that_must_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{port}")
        assert no_connection("http://nowhere.invalid/a") is None
        monkeypatch.setenv("no_proxy", "nowhere.invalid")
        assert no_connection("http://nowhere.invalid/a") is not None
        monkeypatch.delenv("no_proxy")
    assert no_connection("http://nowhere.invalid/a") == (
        "there is no connection to the proxy 127.0.0.1: Connection refused"
    )


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("http://a:port", "it is no URL"),
        ("http://[::1", "it is no URL"),
        ("http://a b:1", "it is no URL"),
        ("http://", "it names no host"),
        ("ftp://a.example:1", "it names a proxy of the kind ftp"),
    ],
)
def test_what_can_be_no_proxy_is_told(proxy: str, why: str) -> None:
    assert (useless_proxy(proxy) or "").startswith(why)
