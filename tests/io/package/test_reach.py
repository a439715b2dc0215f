"""Where servers that strangers name may be: nowhere inside of a network."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from dag.core.limits import PUBLIC_KEY, TooLarge
from dag.io.package.patience import ServerPatience, Unreachable
from dag.io.package.reach import Fetcher, Reach, _login, request_for
from dag.io.retries import RetryPolicy
from tests.support.faults import Answer, Origin
from tests.support.faults.rules import Match

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_asked_only_if_the_user_names_it(origin: Origin, host: str) -> None:
    origin.put("/x", b"secret")
    with pytest.raises(Unreachable, match="is not on the internet"):
        Fetcher(Reach()).get(f"http://{host}:{origin.port}/x", PUBLIC_KEY)
    assert origin.count() == 0
    found = Fetcher(Reach(["127.0.0.1"])).get(f"{origin.url}/x", PUBLIC_KEY)
    assert (found.status, found.body) == (200, b"secret")


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/latest", "http://localhost:{port}/x", "file:///etc/passwd"]
)
def test_a_redirect_leads_nowhere_else(origin: Origin, to: str) -> None:
    origin.put("/x", b"secret")
    url = origin.redirect("/r", to.format(port=origin.port))
    with pytest.raises(Unreachable, match=r"not on the internet|only http and https"):
        Fetcher(Reach(["127.0.0.1"])).get(url, PUBLIC_KEY)
    assert origin.count(path="/x") == 0


def test_what_goes_wrong_here_is_not_told_of_the_server(origin: Origin) -> None:
    url = origin.put("/x", b"found")

    class Full(io.BytesIO):
        def write(self, _: Buffer, /) -> int:
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        Fetcher(Reach(["127.0.0.1"])).save(url, Full(), PUBLIC_KEY)
    assert origin.count() == 1


def test_a_redirect_to_nonsense_is_said(origin: Origin) -> None:
    url = origin.redirect("/r", "http://[::x/")
    with pytest.raises(Unreachable):
        Fetcher(Reach(["127.0.0.1"])).get(url, PUBLIC_KEY)


@pytest.mark.parametrize("host", ["☃..example", "x" * 64 + "é.example"])
def test_a_host_that_no_name_server_knows_is_unreachable(host: str) -> None:
    with pytest.raises(Unreachable, match="is no host name"):
        Fetcher(Reach()).get(f"https://{host}/os", PUBLIC_KEY)


def test_a_host_with_letters_of_any_alphabet_is_asked_by_its_ascii_name() -> None:
    request = request_for("https://bücher.example:8443/ä?b=ö%20", {})
    assert (request.host, request.port) == ("xn--bcher-kva.example", 8443)
    assert (b"Host", b"xn--bcher-kva.example:8443") in request.headers
    assert request.url.target == b"/%C3%A4?b=%C3%B6%20"


def test_redirects_are_followed_and_end(origin: Origin) -> None:
    origin.put("/x", b"found")
    origin.redirect("/r", "/x")
    reach = Reach(["127.0.0.1"])
    assert Fetcher(reach).get(f"{origin.url}/r", PUBLIC_KEY).body == b"found"
    with pytest.raises(Unreachable, match="redirects without an end"):
        Fetcher(reach).get(origin.redirect("/c", "/c"), PUBLIC_KEY)


def test_a_name_that_changes_its_meaning_is_asked_where_it_was_checked(origin: Origin) -> None:
    origin.put("/x", b"secret")
    answers = [["203.0.114.1"], ["127.0.0.1"]]

    def resolve(host: str, port: int) -> list[str]:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    patience = ServerPatience(connect=0.3)
    with pytest.raises(Unreachable):  # at 203.0.114.1, which is not there
        Fetcher(Reach([], resolve), patience).get(
            f"http://rebinding.example:{origin.port}/x", PUBLIC_KEY
        )
    with pytest.raises(
        Unreachable, match=r"rebinding.example \(127.0.0.1\) is not on the internet"
    ):
        Fetcher(Reach([], resolve), patience).get(
            f"http://rebinding.example:{origin.port}/x", PUBLIC_KEY
        )
    assert origin.count() == 0
    # One address of several is enough to refuse.
    with pytest.raises(Unreachable, match="is not on the internet"):
        Reach([], lambda _host, _port: ["8.8.8.8", "10.0.0.1"]).addresses("x.example", 80)


def test_a_proxy_is_not_asked_for_what_is_inside(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", origin.url)
    with pytest.raises(Unreachable, match="not on the internet"):
        Fetcher(Reach()).get("http://169.254.169.254/latest", PUBLIC_KEY)
    assert origin.count() == 0
    origin.handle("http://name.invalid/x", lambda _: Answer.of(200, {}, b"by the proxy"))
    found = Fetcher(Reach()).get("http://name.invalid/x", PUBLIC_KEY)
    assert found.body == b"by the proxy"


def test_an_answer_has_a_limit_in_size_and_in_time(origin: Origin) -> None:
    reach = Reach(["127.0.0.1"])
    with pytest.raises(TooLarge, match="more than 64 KiB, which is the limit of a public key"):
        Fetcher(reach).get(origin.endless("/endless"), PUBLIC_KEY)
    origin.put("/late", b"x" * 100)
    origin.on("GET", "/late", times=None).stall(after=10)
    with pytest.raises(Unreachable, match="did not answer in time"):
        Fetcher(reach, ServerPatience(silence=0.2)).get(f"{origin.url}/late", PUBLIC_KEY)
    with pytest.raises(Unreachable, match="did not end in time"):
        Fetcher(reach, ServerPatience(in_all=-1)).get(origin.put("/slow", b"x"), PUBLIC_KEY)
    origin.down()
    with pytest.raises(Unreachable, match="connection refused"):
        Fetcher(reach).get(f"{origin.url}/x", PUBLIC_KEY)


QUICK = ServerPatience(retries=RetryPolicy(attempts=3, first=0.01, longest_asked=2.0))


def test_who_cannot_answer_just_now_is_asked_again(origin: Origin) -> None:
    fetcher, url = Fetcher(Reach(["127.0.0.1"]), QUICK), origin.put("/x", b"found")
    origin.on("GET", "/x", times=2).answer(503, body=b"busy")
    assert fetcher.get(url, PUBLIC_KEY).body == b"found"
    assert origin.count() == 3
    origin.on("GET", "/x", times=3).answer(503, body=b"busy")
    found = fetcher.get(url, PUBLIC_KEY)
    assert (found.status, found.body, origin.count()) == (503, b"busy", 6)
    origin.on("GET", "/x").answer(429, {"Retry-After": "1"})
    began = time.monotonic()
    assert fetcher.get(url, PUBLIC_KEY).body == b"found"
    assert time.monotonic() - began >= 1
    for answer in ((503, {"Retry-After": "60"}), (501, {}), (404, {}), (403, {})):
        before = origin.count()
        origin.on("GET", "/x").answer(*answer)
        assert (fetcher.get(url, PUBLIC_KEY).status, origin.count()) == (answer[0], before + 1)


BREAKS: dict[str, Callable[[Match], object]] = {
    "without an answer": lambda rule: rule.refuse(),
    "before the answer": lambda rule: rule.lose_answer(),
    "in the answer": lambda rule: rule.reset(after=100),
    "as if it were the end": lambda rule: rule.truncate(100),
}


@pytest.mark.parametrize("when", BREAKS)
def test_who_breaks_off_is_asked_again(origin: Origin, when: str) -> None:
    fetcher, data = Fetcher(Reach(["127.0.0.1"]), QUICK), b"found" * 1000
    url = origin.put("/x", data)
    BREAKS[when](origin.on("GET", "/x", times=2))
    assert fetcher.get(url, PUBLIC_KEY).body == data
    assert origin.count() == 3
    BREAKS[when](origin.on("GET", "/x", times=3))
    with pytest.raises(Unreachable, match=r" \(3 times\)"):
        fetcher.get(url, PUBLIC_KEY)
    assert origin.count() == 6


def test_who_logs_in_does_so_at_the_named_host_alone(origin: Origin) -> None:
    with Origin() as other:
        other.put("/x", b"found")
        origin.redirect("/r", f"{other.url}/x")
        url = f"{origin.url}/r".replace("http://", "http://me:secret@")
        assert Fetcher(Reach(["127.0.0.1"])).get(url, PUBLIC_KEY).body == b"found"
        (first,), (second,) = origin.exchanges, other.exchanges
    assert first.request.header("authorization") == "Basic bWU6c2VjcmV0"
    assert second.request.header("authorization") is None


@pytest.mark.parametrize(
    ("url", "said", "header"),
    [
        ("https://h.example/os", "basic:h.example:me:secret", "Basic bWU6c2VjcmV0"),
        ("https://other.example/os", "basic:h.example:me:secret", None),
        ("https://h.example:8443/os", "basic:h.example:me:secret", None),
        ("https://h.example/os", "bearer:h.example:me:secret", None),
        ("https://h.example/os", "basic:h.example:me:sec:ret", None),
        ("https://h.example/os", "", None),
    ],
)
def test_a_variable_of_apko_logs_in_at_its_host_alone(
    monkeypatch: pytest.MonkeyPatch, url: str, said: str, header: str | None
) -> None:
    monkeypatch.setenv("HTTP_AUTH", said)
    assert _login(urlsplit(url)).get("Authorization") == header
