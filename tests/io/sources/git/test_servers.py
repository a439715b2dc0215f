"""Servers that redirect, refuse, are busy, stall, or send too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dag.io.sources.cache import Cache
from dag.io.sources.git.process import GitLimits
from tests.support.checkouts import bring, failure, statuses, step
from tests.support.faults import Origin
from tests.support.gitserver import GitServer, Upstream, git

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("target", "said"),
    [("file:///etc/passwd", ""), ("/a/info/refs?service=git-upload-pack", "redirect")],
)
def test_redirects_elsewhere_and_in_loops_end(cache: Cache, target: str, said: str) -> None:
    with Origin() as origin:
        origin.on("GET", "/a/", times=None).answer(302, {"Location": target})
        text = failure(cache, step(f"{origin.url}/a", "1" * 40, tag="v1"))
        assert said in text
        assert "git " in text


PAGE = (200, {"Content-Type": "text/html; charset=utf-8"}, b"<!doctype html><title>Log in</title>")
ADVICE = ": is the URL right? Open it in a browser: it may want a login"


@pytest.mark.parametrize(("tag", "branch"), [("v1", ""), ("", "main"), ("", "")])
def test_a_web_page_in_the_place_of_a_repository_is_told_as_that(
    cache: Cache, tag: str, branch: str
) -> None:
    """git takes it for an old server that has no branches and no tags."""
    with Origin() as origin:
        origin.on("GET", "/a/", times=None).answer(*PAGE)
        said = failure(cache, step(f"{origin.url}/a", "1" * 40, tag=tag, branch=branch))
    assert f"git fetch: a web page came in the place of the repository{ADVICE}" in said
    assert "--credentials logs in as you would" in said
    assert "remote ref" not in said


@pytest.mark.parametrize("credentials", [False, True])
def test_a_server_that_leads_to_a_web_page_is_told_with_where_that_is(
    cache: Cache, *, credentials: bool
) -> None:
    with Origin() as origin:
        origin.on("GET", "/a/", times=None).answer(302, {"Location": "/login?token=secret"})
        origin.on("GET", "/login", times=None).answer(*PAGE)
        wanted = step(f"{origin.url}/a", "1" * 40, tag="v1")
        said = failure(cache, wanted, credentials=credentials)
    assert f"git fetch: the server leads to {origin.url}/login?" in said
    assert f", which is no repository{ADVICE}" in said
    assert "secret" not in said
    assert ("--credentials logs in as you would" in said) is not credentials


@pytest.mark.parametrize("is_old", [False, True])
def test_a_repository_that_lacks_a_ref_is_no_web_page(
    cache: Cache, tmp_path: Path, *, is_old: bool
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.publish()
    git(upstream.bare, "update-server-info")
    with Origin() as origin, GitServer(tmp_path / "git") as server:
        for file in upstream.bare.rglob("*"):
            if file.is_file():
                origin.put(f"/{file.relative_to(upstream.bare.parents[1])}", file.read_bytes())
        url = origin.url if is_old else server.url
        said = failure(cache, step(f"{url}/org/repo.git", commit, tag="v1"))
    assert "git fetch: couldn't find remote ref refs/tags/v1" in said


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_answer_that_will_stay_is_not_asked_for_again(cache: Cache, status: int) -> None:
    with Origin() as origin:
        origin.on("GET", "/a/", times=None).answer(status, {"WWW-Authenticate": "Basic realm=x"})
        said = failure(cache, step(f"{origin.url}/a", "1" * 40, tag="v1"))
        assert origin.count() <= 2  # git itself asks again when it has a password
        assert ("--credentials logs in as you would" in said) == (status == 401)


def test_a_certificate_that_is_not_trusted_is_told_with_what_may_help(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1")
    upstream.publish()
    git(upstream.bare, "update-server-info")
    with Origin(tls=True) as origin:
        for file in upstream.bare.rglob("*"):
            if file.is_file():
                path = file.relative_to(upstream.bare.parents[1])
                origin.put(f"/{path}", file.read_bytes())
        wanted = step(f"{origin.url}/org/repo.git", commit, tag="v1")
        said = failure(cache, wanted)
        assert "$GIT_SSL_CAINFO must name a file with its CA" in said
        monkeypatch.setenv("GIT_SSL_CAINFO", str(origin.ca_file))
        assert statuses(bring(Cache(cache.directory), wanted)) == ["fetched"]


def test_a_server_that_is_busy_is_asked_again_and_a_stall_ends(cache: Cache) -> None:
    with Origin() as origin:
        origin.on("GET", "/a/", times=None).answer(503)
        failure(cache, step(f"{origin.url}/a", "1" * 40, tag="v1"))
        assert origin.count() == 2
        origin.clear()
        origin.on("GET", "/a/", times=None).stall()
        limits = GitLimits(timeout=0.5)
        assert "did not end" in failure(
            cache, step(f"{origin.url}/a", "1" * 40, tag="v1"), limits=limits
        )


def test_a_server_that_never_ends_does_not_get_all_memory(cache: Cache) -> None:
    with Origin() as origin:
        origin.on("GET", "/a/", times=None).answer(200, body=b" " * (64 << 20))
        limits = GitLimits(memory=32 << 20)
        said = failure(cache, step(f"{origin.url}/a", "1" * 40, tag="v1"), limits=limits)
        assert "it needed more than 32 MiB of memory" in said
        assert origin.count() == 1


def test_a_repository_beyond_max_size_is_not_kept(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    import random

    (upstream.work / "big").write_bytes(random.Random(1).randbytes(1_000_000))
    commit = upstream.commit("big")
    upstream.tag("v1")
    upstream.publish()
    limits = GitLimits(max_size=100_000)
    said = failure(cache, step(f"{server.url}/org/repo", commit, tag="v1"), limits=limits)
    assert "--max-size" in said
    leftovers = (cache.directory / "git" / server.host / "org/repo.git/objects").rglob("*.pack")
    assert list(leftovers) == []
