"""Steps reach the network through the proxy of the build, and nothing else of it comes to packages."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support.builds import Make, definition, run
from tests.support.forwarding import Forwarder
from tests.support.serving import serving

HOST = "sources.invalid"
"""A host that only a proxy can know."""


def archive() -> bytes:
    """Return a small source, always the same."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        entry = tarfile.TarInfo("a/fetched")
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"hi\n"))
    return made.getvalue()


SOURCE = archive()


class _Origin(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(SOURCE)))
        self.end_headers()
        self.wfile.write(SOURCE)

    def log_message(self, *_: object) -> None:
        pass


FETCHING = definition("fetching", "wget").partition("pipeline:")[0] + (
    f"pipeline:\n  - uses: fetch\n    with:\n      uri: http://{HOST}/a.tar\n"
    f"      expected-sha256: {hashlib.sha256(SOURCE).hexdigest()}\n"
    "  - runs: |\n"
    '      mkdir -p "${{targets.destdir}}/usr/share"\n'
    '      cp fetched "${{targets.destdir}}/usr/share/"\n'
)
SHOWING = definition("showing", runs="env | grep -i proxy | sort || true")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def proxy() -> Iterator[Forwarder]:
    """Return a proxy that knows where the sources are."""
    with serving(_Origin) as port, Forwarder(places={HOST: port}) as proxy:
        yield proxy


def shown(place: Path, *words: str, **more: str) -> tuple[set[str], str]:
    """Build what shows its proxies; return their variables, and what `dag` said."""
    code, _, said = run(place, "--rebuild", "showing", *words, **more)
    assert code == 0, said
    log = (place / "packages/logs/x86_64/showing.log").read_text()
    last = (line.rpartition(" ")[2] for line in log.splitlines())
    return {word for word in last if "proxy=" in word.lower()}, said


def both(**values: str) -> set[str]:
    """Return the variables for values by what they are for, in both spellings."""
    lower = {f"{kind}_proxy={value}" for kind, value in values.items()}
    return lower | {f"{kind.upper()}_PROXY={value}" for kind, value in values.items()}


def control(apk: Path) -> bytes:
    """Return what melange tells in a package of its build."""
    with tarfile.open(apk) as tar:
        file = tar.extractfile(".melange.yaml")
        assert file is not None
        return file.read()


def test_a_step_fetches_through_the_proxy_and_neither_the_package_nor_its_key_shows_that(
    make: Make, proxy: Forwarder, tmp_path: Path
) -> None:
    place = make(fetching=FETCHING)
    code, _, said = run(place)
    assert code == 3, said
    assert f"there is no connection to {HOST}" in said
    # Upper case alone, which wget would not look at.
    code, _, said = run(place, HTTP_PROXY=f"http://{proxy.place}")
    assert code == 0, said
    assert proxy.lines == [f"GET http://{HOST}/a.tar HTTP/1.1"]
    (package,) = (place / "packages/x86_64").glob("*.apk")
    assert b"proxy" not in control(package).lower()
    with Forwarder(places=proxy._places) as other:
        url = f"http://{other.place}"
        code, _, said = run(place, "--rebuild=dependents", f"--proxy={url}")
        assert code == 0, said
        assert "0 packages to build" in said
        code, _, said = run(place, "--rebuild=fetching", f"--proxy={url}", "--verbose")
        assert code == 0, said
        assert len(other.lines) == 1
    records = list((place / "packages/.dag/records/x86_64/fetching").rglob("*.json"))
    assert len(records) == 1  # the same package from the same inputs


def test_a_proxy_that_cannot_be_reached_is_no_fault_of_the_package(make: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        code, _, said = run(make(fetching=FETCHING), f"--proxy={url}")
    assert code == 3, said
    why = "there is no connection to the proxy 127.0.0.1: Connection refused"
    assert f"http://{HOST}/a.tar cannot be fetched: {why}" in said


def test_a_flag_names_another_proxy_than_the_environment_for_builds(make: Make) -> None:
    place = make(showing=SHOWING)
    environment = {"http_proxy": "a.example:1", "NO_PROXY": "b.example", "ALL_PROXY": "c.example:2"}
    assert shown(place, **environment)[0] == both(http="a.example:1", no="b.example")
    upper = {"HTTP_PROXY": "upper.example:1", "HTTPS_PROXY": "http://s.example:2"}
    assert shown(place, **upper, **environment)[0] == both(
        http="a.example:1", https="http://s.example:2", no="b.example"
    )
    url, local = "http://d.example:3", "localhost,127.0.0.1,::1"
    assert shown(place, f"--proxy={url}/", **environment)[0] == both(http=url, https=url, no=local)
    settings = place / "dag.toml"
    lines = f'proxy = "{url}"\nno-proxy = ".e.example, 10.0.0.0/8"\n'
    settings.write_text(settings.read_text() + lines)
    more = f"{local},.e.example,10.0.0.0/8"
    assert shown(place)[0] == both(http=url, https=url, no=more)


@pytest.mark.parametrize("flags", [("--hermetic",), ("--trust-steps",)])
def test_steps_without_a_network_know_no_proxy_and_trusted_ones_do(
    make: Make, flags: tuple[str, ...]
) -> None:
    found, _ = shown(make(showing=SHOWING), *flags, http_proxy="http://a.example:1")
    assert found == (set() if "--hermetic" in flags else both(http="http://a.example:1"))


def test_what_a_definition_says_of_a_proxy_counts(make: Make) -> None:
    own = SHOWING.replace(
        "environment:\n", "environment:\n  environment:\n    http_proxy: mine:1\n"
    )
    found, _ = shown(make(showing=own), http_proxy="a.example:1")
    assert found == {"http_proxy=mine:1", "HTTP_PROXY=a.example:1"}


def test_a_login_reaches_no_step_and_that_is_said(make: Make) -> None:
    place = make(showing=SHOWING)
    login = "http://me:secret@a.example:1"
    found, said = shown(place, http_proxy=login, https_proxy="http://b.example:2")
    assert found == both(https="http://b.example:2")
    why = "steps do not get the proxy that $http_proxy names, because it has a login: `dag cache`"
    assert f"dag: {why} fetches" in said
    assert "secret" not in said
    assert "secret" not in (place / "packages/logs/x86_64/showing.log").read_text()
    _, said = shown(place, "--hermetic", HTTPS_PROXY=login)
    assert "login" not in said
    _, said = shown(place, HTTPS_PROXY=login)
    assert "that $HTTPS_PROXY names" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ("--proxy=http://me:secret@a.example:1",),
            "this proxy has a login, which manifests, logs",
        ),
        (("--proxy=a.example:1",), "'a.example:1' is no proxy; it is written http://HOST:PORT"),
        (("--proxy=http://a.example",), "is no proxy; it is written"),
        (("--proxy=http://a.example:0",), "is no proxy; it is written"),
        (("--proxy=http://a.example:1/?token=secret",), "token=***' is no proxy"),
        (("--proxy=socks5://a.example:1",), "is no proxy; it is written"),
        (("--proxy=http://a:1", "--no-proxy=a b"), "'a b' is neither a host nor a network"),
    ],
)
def test_what_can_be_no_proxy_of_a_build_is_refused(
    make: Make, words: tuple[str, ...], why: str
) -> None:
    code, _, said = run(make(showing=SHOWING), *words)
    assert code == 2, said
    assert why in said
    assert "secret" not in said
    assert "built" not in said
