"""Repositories that come by git's own protocol, and those that need a login."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dag.core.sources.checkouts import repositories_of
from dag.io.sources.cache import Cache
from dag.io.sources.git import environment
from dag.io.sources.git.process import GitLimits
from tests.support.checkouts import bring, checkout, failure, statuses, step
from tests.support.faults import Origin
from tests.support.gitserver import GitServer, Upstream, git_daemon

SSH = """\
#!/bin/sh
# Takes the place of ssh: runs the last word here, in the directory of the repositories.
while [ $# -gt 1 ]; do shift; done
cd {served} && exec sh -c "$(echo "$1" | sed "s|'/|'|")"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give git an empty home, and return it; later tests read their own settings again."""
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv(
        "XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or f"{Path.home()}/.cache"
    )
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    environment._settings_of_the_user.cache_clear()
    yield place
    environment._settings_of_the_user.cache_clear()


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    made = Upstream(tmp_path / "git", "org/repo")
    made.commit("first")
    made.tag("v1")
    made.publish()
    return made


def test_what_comes_by_gits_own_protocol_is_verified_and_builds_use_it(
    cache: Cache, tmp_path: Path, upstream: Upstream
) -> None:
    commit = upstream.head()
    with git_daemon(tmp_path / "git") as url:
        wanted = step(f"{url}/org/repo", commit, tag="v1")
        assert statuses(bring(cache, wanted)) == ["fetched"]
        other = "0" * 40
        assert f"expected {other}" in failure(cache, step(f"{url}/org/repo", other, tag="v1"))
        bring(cache, wanted)
    assert (checkout(cache, tmp_path, wanted) / "file").read_text() == "first"


def test_a_daemon_that_has_no_such_repository_is_asked_once(cache: Cache, tmp_path: Path) -> None:
    with git_daemon(tmp_path / "git") as url:
        said = failure(cache, step(f"{url}/org/none", "1" * 40, tag="v1"))
    assert "access denied or repository not exported" in said


def test_a_port_where_no_daemon_listens_is_said(cache: Cache) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"git://127.0.0.1:{listener.getsockname()[1]}"
    said = failure(cache, step(f"{url}/a/b", "1" * 40, tag="v1"))
    assert "unable to connect to 127.0.0.1: " in said
    assert "Connection refused" in said


def test_a_daemon_that_says_nothing_is_not_waited_for(cache: Cache) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"git://127.0.0.1:{listener.getsockname()[1]}"
        said = failure(cache, step(f"{url}/a/b", "1" * 40, tag="v1"), limits=GitLimits(stall=0.3))
    assert "it stalled: nothing came in 0.3 s" in said


@pytest.mark.parametrize(
    "uri",
    ["ssh://git@host.example/org/repo", "git@host.example:org/repo", "host.example:org/repo.git"],
)
def test_ssh_is_spoken_only_if_credentials_may_be_used(
    cache: Cache, tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    program = tmp_path / "ssh"
    program.write_text(SSH.format(served=upstream.bare.parents[1]))
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(program))
    wanted = step(uri, upstream.head(), tag="v1")
    (problem,) = repositories_of([wanted]).problems
    assert "--credentials" in problem.message
    (repository,) = repositories_of([wanted], credentials=True).repositories
    assert repository.path == "host.example/org/repo"
    assert statuses(bring(cache, wanted, credentials=True)) == ["fetched"]
    assert (checkout(cache, tmp_path, wanted) / "file").read_text() == "first"
    monkeypatch.delenv("GIT_SSH_COMMAND")
    assert statuses(bring(cache, wanted, credentials=True)) == ["present"]


@pytest.mark.parametrize("way", ["netrc", "helper", "header", "rewritten"])
def test_a_login_is_used_only_if_credentials_may_be(
    cache: Cache, tmp_path: Path, upstream: Upstream, home: Path, way: str
) -> None:
    commit = upstream.head()
    with GitServer(tmp_path / "git", login="me:s3cret") as server:
        machine = server.host.partition(":")[0]
        basic = "bWU6czNjcmV0"
        if way == "netrc":
            (home / ".netrc").write_text(f"machine {machine} login me password s3cret\n")
            (home / ".netrc").chmod(0o600)
        else:
            (home / ".gitconfig").write_text(
                {
                    "helper": '[credential]\n\thelper = "!f() { echo username=me;'
                    ' echo password=s3cret; }; f"\n',
                    "header": f'[http "{server.url}"]\n\textraHeader = Authorization: Basic {basic}\n',
                    "rewritten": f'[url "http://me:s3cret@{server.host}/"]\n'
                    f"\tinsteadOf = {server.url}/\n",
                }[way]
            )
        wanted = step(f"{server.url}/org/repo", commit, tag="v1")
        said = failure(cache, wanted)
        assert "s3cret" not in said
        assert set(server.logins) == {None}
        assert statuses(bring(cache, wanted, credentials=True)) == ["fetched"]
    for path in cache.directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"s3cret" not in data
            assert basic.encode() not in data


@pytest.mark.parametrize("way", ["helper", "header"])
def test_a_login_is_not_sent_to_where_a_server_redirects(
    cache: Cache, tmp_path: Path, upstream: Upstream, home: Path, way: str
) -> None:
    with GitServer(tmp_path / "git") as server, Origin() as origin:
        elsewhere = server.url.replace("127.0.0.1", "localhost")
        target = f"{elsewhere}/org/repo/info/refs?service=git-upload-pack"
        origin.on("GET", "/org/repo", times=None).answer(302, {"Location": target})
        helper = '"!f() { echo username=me; echo password=s3cret; }; f"'
        (home / ".gitconfig").write_text(
            f'[credential "{origin.url}"]\n\thelper = {helper}\n'
            if way == "helper"
            else f'[http "{origin.url}"]\n\textraHeader = Private-Token: s3cret\n'
        )
        wanted = step(f"{origin.url}/org/repo", upstream.head(), tag="v1")
        if way == "helper":
            bring(cache, wanted, credentials=True)
            assert set(server.logins) == {None}
        else:
            said = failure(cache, wanted, credentials=True)
            assert (
                "the server leads elsewhere, and git follows neither with headers of yours" in said
            )
            assert "name the URL that it leads to" in said
            assert server.requests == []
            assert origin.exchanges[0].request.header("private-token") == "s3cret"


def test_how_a_user_reaches_the_network_counts_without_credentials(
    cache: Cache, tmp_path: Path, upstream: Upstream, home: Path
) -> None:
    with GitServer(tmp_path / "git") as server:
        (home / "more").write_text(
            f'[url "{server.url}/"]\n\tinsteadOf = http://mirrored.example/\n'
        )
        (home / ".gitconfig").write_text("[include]\n\tpath = ~/more\n")
        wanted = step("http://mirrored.example/org/repo", upstream.head(), tag="v1")
        assert statuses(bring(cache, wanted)) == ["fetched"]


def test_a_submodule_that_needs_a_login_is_said(
    server: GitServer, cache: Cache, tmp_path: Path, upstream: Upstream
) -> None:
    outer = Upstream(tmp_path / "git", "org/outer")
    outer.commit("outer")
    commit = outer.submodule("sub", "ssh://git@host.example/x", outer, upstream.head())
    outer.tag("v1")
    outer.publish()
    said = failure(cache, step(f"{server.url}/org/outer", commit, tag="v1", submodules=True))
    assert "submodule sub: ssh needs a login: give --credentials" in said


def test_a_repository_that_one_protocol_does_not_bring_may_come_by_another(
    cache: Cache, tmp_path: Path, upstream: Upstream, home: Path
) -> None:
    commit = upstream.head()
    both = [step(f"{one}://nowhere.invalid/org/repo", commit, tag="v1") for one in ("git", "https")]
    with GitServer(tmp_path / "git") as server:
        (home / ".gitconfig").write_text(
            f'[url "{server.url}/"]\n\tinsteadOf = https://nowhere.invalid/\n'
        )
        assert statuses(bring(cache, *both)) == ["fetched"]
    for one in both:
        assert (checkout(cache, tmp_path, one) / "file").read_text() == "first"
