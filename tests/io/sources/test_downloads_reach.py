"""The way to a download: redirects, TLS, passwords, cookies, proxies and certificates."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from dag.errors import InfrastructureError
from dag.io.sources.cache import Cache
from dag.io.sources.transport import TransferLimits
from tests.support.downloading import DATA, SMALL, failed, fetch, wanted
from tests.support.faults import Answer, Origin

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ("/grün.tar".encode(), "/gr%C3%BCn.tar"),
        ("/grün.tar".encode("latin-1"), "/gr%FCn.tar"),
        (b"/gr%C3%BCn.tar?of=a+b%2Fc", "/gr%C3%BCn.tar?of=a+b%2Fc"),
    ],
)
def test_a_redirect_that_is_not_escaped_leads_to_the_bytes_that_it_was_sent_with(
    origin: Origin, cache: Cache, sent: bytes, asked: str
) -> None:
    origin.put(asked.partition("?")[0], SMALL)
    uri = origin.redirect("/a", sent.decode("latin-1"))
    (outcome,) = fetch(cache, wanted(SMALL, uri))
    assert outcome.status == "fetched"
    assert origin.exchanges[-1].request.target == asked


def test_redirects_in_a_loop_end(origin: Origin, cache: Cache) -> None:
    origin.redirect("/b", "/a")
    assert "more than 10 redirects" in failed(cache, wanted(SMALL, origin.redirect("/a", "/b")))
    assert origin.count() == 11


def test_a_certificate_that_is_not_trusted_is_not_asked_twice(cache: Cache) -> None:
    with Origin(tls=True) as origin:
        said = failed(cache, wanted(SMALL, origin.put("/a", SMALL)))
        assert "TLS: " in said
        assert "certificate" in said
        assert "$SSL_CERT_FILE must name a file with its CA" in said
        assert origin.count() == 0
        trusted = ssl.create_default_context(cafile=str(origin.ca_file))
        (outcome,) = fetch(cache, wanted(SMALL, origin.url + "/a"), tls=trusted)
        assert outcome.status == "fetched"


def test_a_server_that_speaks_no_tls_is_a_message(origin: Origin, cache: Cache) -> None:
    origin.put("/a", SMALL)
    uri = origin.url.replace("http:", "https:") + "/a"
    # Either OpenSSL reads the server's HTTP, or the server resets what it cannot read.
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
    patient = TransferLimits(connect=600, stall=600)
    (outcome,) = fetch(cache, wanted(SMALL, uri), limits=patient)
    assert outcome.status == "fetched"


def test_cookies_are_neither_kept_nor_looked_at(origin: Origin, cache: Cache) -> None:
    headers = {"Set-Cookie": "a=\xff"}
    odd = origin.handle("/odd", lambda _: Answer.of(200, headers, SMALL))
    good = origin.handle("/good", lambda _: Answer.of(200, {"Set-Cookie": "b=1"}, DATA))
    again = origin.redirect("/again", good)
    outcomes = fetch(
        cache, wanted(SMALL, odd), wanted(DATA, again), limits=TransferLimits(per_host=1)
    )
    assert [outcome.status for outcome in outcomes] == ["fetched", "fetched"]
    assert {exchange.request.header("cookie") for exchange in origin.exchanges} == {None}


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
