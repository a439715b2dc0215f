"""A build that lacks the network ends as one that the environment failed, and says which server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import msgspec
import pytest

from dag.core.build.failure import FailureWords
from dag.core.package.model import Fetch, Package
from dag.core.package.repositories import Repositories
from dag.run.build.network import NetworkFaults
from tests.support.builds import Make, definition, run
from tests.support.serving import serving

FETCHING = definition("fetching", "wget").partition("pipeline:")[0] + (
    "pipeline:\n  - uses: fetch\n    with:\n"
    f"      uri: http://127.0.0.1:@PORT@/a.tar.gz\n      expected-sha256: {'0' * 64}\n"
)


@pytest.fixture
def closed() -> Iterator[int]:
    """Return a port of this machine to which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_source_whose_server_cannot_be_reached_is_no_fault_of_the_package(
    make: Make, closed: int
) -> None:
    place = make(fetching=FETCHING.replace("@PORT@", str(closed)), good=definition("good"))
    code, _, said = run(place)
    assert code == 3, said
    url = f"http://127.0.0.1:{closed}/a.tar.gz"
    why = "there is no connection to 127.0.0.1: Connection refused"
    assert f"FAILED fetching 1-r0: fetching.yaml:14: {url} cannot be fetched: {why}; " in said
    assert "1 built, 1 failed" in said
    code, _, _ = run(place, command="status")
    assert code == 3


def test_what_a_server_answers_is_no_matter_of_the_network(make: Make) -> None:
    with serving(SimpleHTTPRequestHandler) as port:  # it has no such file
        code, _, said = run(make(fetching=FETCHING.replace("@PORT@", str(port))))
    assert code == 1, said
    assert "FAILED fetching 1-r0: exit status" in said


def test_a_new_distribution_without_a_network_is_told_what_it_lacks(tmp_path: Path) -> None:
    place = "http://nowhere.invalid/os"
    words = ("-r", place, "--keyring", f"{place}/key.rsa.pub", "hello")
    assert run(tmp_path, *words, command="init")[0] == 0
    code, _, said = run(tmp_path / "hello")
    assert code == 3, said
    lost = f"{place} could not be asked, and nothing else has busybox; its log is"
    assert f"FAILED example-greeting 1.0.0-r0: {lost}" in said


def repositories(**unreachable: bool) -> Repositories:
    places = tuple(f"https://{name}.example/os" for name in unreachable)
    lost = frozenset(f"https://{name}.example/os" for name in unreachable if unreachable[name])
    return Repositories(unasked={"app": places}, unreachable=lost)


def test_only_a_need_that_an_unreachable_repository_may_give_is_its_fault() -> None:
    app = Package(name="app", version="1", epoch=0, file="app.yaml", line=2)
    external = {"busybox": ["app"], "other": ["else"]}
    no_step, in_step = FailureWords("", ()), FailureWords("", (), "")

    def find(failure: FailureWords, asked: Repositories, needs: dict[str, list[str]]) -> str | None:
        return NetworkFaults(repositories=asked, external=needs).find(app, failure)

    lost = repositories(a=True, b=False)
    assert find(no_step, lost, external) == (
        "https://a.example/os could not be asked, and nothing else has busybox"
    )
    assert find(in_step, lost, external) is None  # so melange had all that it asked for
    assert find(no_step, lost, {"other": ["else"]}) is None
    assert find(no_step, repositories(a=False), external) is None  # such as one that nobody trusts


def test_what_had_no_network_anyway_asks_no_server(closed: int) -> None:
    source = Fetch(
        f"http://127.0.0.1:{closed}/a", "0" * 64, "", expected_none=False, file="a.yaml", line=7
    )
    app = Package(name="app", version="1", epoch=0, file="app.yaml", line=2, sources=(source,))
    failed = FailureWords("", (), "fetch")
    assert NetworkFaults(has_network=False).find(app, failed) is None
    found = NetworkFaults().find(app, failed)
    assert found is not None
    assert found.startswith(f"a.yaml:7: http://127.0.0.1:{closed}/a cannot be fetched: ")
    assert NetworkFaults().find(app, FailureWords("", (), "autoconf/make")) is None
    assert NetworkFaults().find(msgspec.structs.replace(app, sources=()), failed) is None
