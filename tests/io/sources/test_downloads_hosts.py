"""Hosts: their addresses and names, the proxies before them, and the logins that belong to them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from dag.core.sources.downloads import Download
from dag.errors import InfrastructureError, UsageError
from dag.io.sources.cache import Cache
from dag.io.sources.downloads import Downloader, DownloadOutcome
from dag.io.sources.logins import Logins
from dag.io.sources.targets import target_of
from tests.support.downloading import DATA, LIMITS, SMALL, Silent, failed, fetch, wanted
from tests.support.faults import Answer, Origin
from tests.support.forwarding import Forwarder

BASIC = "Basic bWU6czNjcmV0"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# Addresses and names.


@contextlib.contextmanager
def dead_address() -> Iterator[str]:
    """Yield an address of loopback where every attempt to connect to `port` is just not answered."""
    with socket.create_server(("127.0.0.77", 0), backlog=0) as listener:
        full = []
        for _ in range(4):  # more than wait to be accepted
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(listener.getsockname())
            full.append(one)
        try:
            yield "{}:{}".format(*listener.getsockname())
        finally:
            for one in full:
                one.close()


def test_an_address_that_does_not_answer_is_passed_over(
    origin: Origin, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = origin.put("/a", SMALL).replace("127.0.0.1", "two.example")
    host, port = origin.url.removeprefix("http://").split(":")
    real = socket.getaddrinfo
    with dead_address() as dead:
        first, _, dead_port = dead.partition(":")

        def both(name: str, *args: object, **kwargs: object) -> object:
            assert name in ("two.example", b"two.example")
            return [
                *real(first, int(dead_port), type=socket.SOCK_STREAM),
                *real(host, int(port), type=socket.SOCK_STREAM),
            ]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        (outcome,) = fetch(cache, wanted(SMALL, uri))
    assert outcome.status == "fetched"


def test_a_name_with_an_address_where_nobody_listens_is_reached_by_the_other(
    origin: Origin, cache: Cache
) -> None:
    # localhost is ::1, too.
    uri = origin.put("/a", SMALL).replace("127.0.0.1", "localhost")
    (outcome,) = fetch(cache, wanted(SMALL, uri))
    assert outcome.status == "fetched"


def test_a_name_that_is_none_is_one_failure(origin: Origin, cache: Cache) -> None:
    long = f"http://{'ü' * 70}.example/x"
    items = [wanted(SMALL, "http://nowhere.invalid/x"), wanted(DATA, long)]
    outcomes = fetch(cache, *items, wanted(b"", origin.put("/empty", b"")))
    assert [outcome.status for outcome in outcomes] == ["failed", "failed", "fetched"]
    assert "there is no connection" in str(outcomes[0].problems[0])
    assert "is no host name" in str(outcomes[1].problems[0])


@pytest.mark.parametrize(
    ("uri", "host", "path"),
    [
        ("http://bücher.example/ä?ö=ü", "xn--bcher-kva.example", "/%C3%A4?%C3%B6=%C3%BC"),
        ("http://h/a%20b%2Fc?x=%41&y=[1]", "h", "/a%20b%2Fc?x=%41&y=[1]"),
        ("http://H:8080", "h", "/"),
        ("http://h/%zz?", "h", "/%zz"),
        ("http://[::1]:8/x#part", "::1", "/x"),
    ],
)
def test_a_uri_is_asked_for_as_it_is_written(uri: str, host: str, path: str) -> None:
    target = target_of(uri, Logins())
    assert (target.host, target.path) == (host, path)


def test_the_host_is_told_with_its_port_where_that_is_not_the_usual_one() -> None:
    for uri, authority in (
        ("https://h/", "h"),
        ("https://h:443/", "h"),
        ("https://h:80/", "h:80"),
        ("http://[::1]:8/x", "[::1]:8"),
    ):
        assert target_of(uri, Logins()).authority == authority
    with pytest.raises(UsageError):
        target_of("ftp://h/", Logins())


# Proxies.


def test_a_proxy_is_asked_for_the_whole_uri(
    origin: Origin, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = origin.put("/a", SMALL)
    with Forwarder() as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:s3cret@{proxy.place}")
        (outcome,) = fetch(cache, wanted(SMALL, uri))
        assert outcome.status == "fetched"
        assert proxy.lines == [f"GET {uri} HTTP/1.1"]
        assert proxy.logins == [BASIC]
        assert origin.exchanges[0].request.header("authorization") is None
        monkeypatch.setenv("no_proxy", "example.org,127.0.0.1")
        (outcome,) = fetch(cache, wanted(DATA, origin.put("/b", DATA)))
        assert outcome.status == "fetched"
        assert len(proxy.lines) == 1


def test_tls_goes_through_a_proxy_that_sees_nothing_of_it(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Origin(tls=True) as origin, Forwarder() as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.place)
        uri = origin.put("/a", DATA).replace("https://", "https://me:s3cret@")
        trusted = ssl.create_default_context(cafile=str(origin.ca_file))
        (outcome,) = fetch(cache, wanted(DATA, uri), tls=trusted)
        assert outcome.status == "fetched"
        host = origin.url.removeprefix("https://")
        assert proxy.lines == [f"CONNECT {host} HTTP/1.1"]
        assert b"Authorization" not in proxy.heads
        assert origin.exchanges[0].request.header("authorization") == BASIC


@pytest.mark.parametrize("secure", [True, False])
def test_a_proxy_that_refuses_or_is_not_there_is_said(
    origin: Origin, cache: Cache, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    uri = origin.put("/a", SMALL)
    if secure:
        uri = uri.replace("http:", "https:")
    with Forwarder(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("all_proxy", f"http://{proxy.place}")
        said = failed(cache, wanted(SMALL, uri))
        assert "HTTP 407" in said
        assert "the proxy wants a login, which http://USER:PASSWORD@HOST:PORT" in said
        assert len(proxy.lines) == 1  # asking again would not help
    assert "no connection" in failed(cache, wanted(SMALL, uri))
    assert origin.count() == 0


# Logins.


def fetch_with(cache: Cache, logins: Logins, *items: Download) -> list[DownloadOutcome]:
    downloader = Downloader(cache, Silent(), limits=LIMITS, logins=logins)
    return asyncio.run(downloader.run(items))


def test_a_login_is_sent_to_its_own_host_and_not_to_where_that_redirects(
    origin: Origin, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "netrc"
    file.write_text(
        "machine 127.0.0.1 login me password s3cret\ndefault login other password s3cret\n"
    )
    monkeypatch.setenv("NETRC", str(file))
    elsewhere = origin.put("/real", SMALL).replace("127.0.0.1", "localhost")
    uri = origin.redirect("/a", elsewhere)
    own = origin.redirect("/b", origin.put("/more", DATA))
    logins = Logins.of_the_user()
    outcomes = fetch_with(cache, logins, wanted(SMALL, uri), wanted(DATA, own))
    assert [outcome.status for outcome in outcomes] == ["fetched", "fetched"]
    sent = {one.request.target: one.request.header("authorization") for one in origin.exchanges}
    assert sent == {"/a": BASIC, "/real": None, "/b": BASIC, "/more": BASIC}


def test_without_leave_no_login_is_read(
    origin: Origin, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    origin.handle("/a", lambda _: Answer.of(401, {"WWW-Authenticate": "Basic"}))
    assert "--credentials" in failed(cache, wanted(SMALL, origin.url + "/a"))
    assert origin.exchanges[0].request.header("authorization") is None


@pytest.mark.parametrize(
    ("netrc", "told"),
    [
        ("machine 127.0.0.1 login me password s3cret", "it does not take the login that"),
        ("machine h.example login me password s3cret", "netrc has no login for 127.0.0.1"),
        ("default login me password s3cret", "netrc has no login for 127.0.0.1"),
        (None, "netrc, which is not there, has no login for 127.0.0.1"),
    ],
)
def test_a_refused_login_is_told_by_what_it_was(
    origin: Origin,
    cache: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    netrc: str | None,
    told: str,
) -> None:
    file = tmp_path / "netrc"
    if netrc is not None:
        file.write_text(f"{netrc}\n")
    monkeypatch.setenv("NETRC", str(file))
    origin.handle("/a", lambda _: Answer.of(401, {"WWW-Authenticate": "Basic"}))
    (outcome,) = fetch_with(cache, Logins.of_the_user(), wanted(SMALL, origin.url + "/a"))
    (problem,) = outcome.problems
    assert "HTTP 401 Unauthorized: " in problem.message
    assert told in problem.message
    assert "--credentials" not in problem.message
    assert "s3cret" not in problem.message


def test_a_login_that_is_not_sent_for_want_of_https_is_told() -> None:
    hint = Logins({"h.example": BASIC}, "the netrc").hint("h.example", used=False)
    assert hint == "the netrc has a login for h.example, which is not sent without https"


def test_a_login_is_not_sent_where_others_could_read_it() -> None:
    logins = Logins({"h.example": BASIC, "127.0.0.1": BASIC})
    assert target_of("http://h.example/", logins).login == ""
    assert target_of("https://H.example/", logins).login == BASIC
    assert target_of("http://127.0.0.1:8/", logins).login == BASIC
    assert target_of("https://example/", logins).login == ""
    assert target_of("https://you:it@h.example/", logins).login == "Basic eW91Oml0"


@pytest.mark.parametrize("text", ["s3cret s3cret\n", "machine h\0\xff"])
def test_a_netrc_that_is_none_is_said_without_a_word_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    file = tmp_path / "netrc"
    file.write_bytes(text.encode("latin-1"))
    monkeypatch.setenv("NETRC", str(file))
    with pytest.raises(InfrastructureError, match="netrc") as caught:
        Logins.of_the_user()
    assert "s3cret" not in caught.value.message
