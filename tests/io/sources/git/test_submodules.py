"""A checkout takes more than its commit: submodules and cherry-picks."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from dag.core.sources.checkouts import repositories_of
from dag.io.sources.cache import Cache
from dag.io.sources.git.stored import prune_git, read_states
from tests.support.checkouts import bring, checkout, failure, statuses, step
from tests.support.faults import Origin
from tests.support.gitserver import GitServer, Upstream, git

if TYPE_CHECKING:
    from pathlib import Path


def test_submodules_come_with_their_own_submodules_by_relative_and_absolute_uris(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    root = tmp_path / "git"
    inner, middle, outer = (Upstream(root, f"org/{name}") for name in ("in", "mid", "out"))
    inner_commit = inner.commit("innermost")
    inner.commit("later")
    middle.commit("middle")
    middle_commit = middle.submodule("deps/in", f"{server.url}/org/in.git", inner, inner_commit)
    outer.commit("outer")
    outer_commit = outer.submodule("mid", "../mid", middle, middle_commit)
    outer.tag("v1")
    for upstream in (inner, middle, outer):
        upstream.publish()
    wanted = step(f"{server.url}/org/out", outer_commit, tag="v1", submodules=True)
    assert statuses(bring(cache, wanted)) == ["fetched"] * 3
    work = checkout(cache, tmp_path, wanted)
    assert (work / "mid/file").read_text() == "middle"
    assert (work / "mid/deps/in/file").read_text() == "innermost"
    assert statuses(bring(Cache(cache.directory), wanted)) == ["present"] * 3
    assert prune_git(cache, repositories_of([wanted]).repositories) == []
    assert len(prune_git(cache, [])) == 3
    assert read_states(cache) == {}


@pytest.mark.parametrize("kept_by", ["branch", "tag"])
def test_a_server_of_the_old_protocol_gives_a_submodule_by_what_its_refs_are(
    cache: Cache, tmp_path: Path, kept_by: str
) -> None:
    root = tmp_path / "git"
    inner, outer = (Upstream(root, f"org/{name}") for name in ("in", "out"))
    inner.commit("first")
    commit = inner.commit("wanted")
    if kept_by == "tag":
        inner.commit("later")
        inner.tag("v1")
        git(inner.work, "reset", "-q", "--hard", "HEAD~2")
    inner.commit("newest")
    outer.commit("outer")
    outer_commit = outer.submodule("in", "../in", inner, commit)
    outer.tag("v1")
    for upstream in (inner, outer):
        upstream.publish()
    with GitServer(root, old=True) as server:
        wanted = step(f"{server.url}/org/out", outer_commit, tag="v1", submodules=True)
        assert statuses(bring(cache, wanted)) == ["fetched"] * 2
        assert (checkout(cache, tmp_path, wanted) / "in/file").read_text() == "wanted"
        again = Cache(cache.directory)
        assert statuses(bring(again, wanted)) == ["present"] * 2
        refs = git(cache.directory / f"git/{server.host}/org/in.git", "for-each-ref")
        assert "refs/dag/" not in refs


def test_a_commit_that_a_server_of_the_old_protocol_lacks_is_named(
    cache: Cache, tmp_path: Path
) -> None:
    root = tmp_path / "git"
    inner, outer = (Upstream(root, f"org/{name}") for name in ("in", "out"))
    inner.commit("first")
    outer.commit("outer")
    outer_commit = outer.submodule("in", "../in", inner, "1" * 40)
    outer.tag("v1")
    for upstream in (inner, outer):
        upstream.publish()
    with GitServer(root, old=True) as server:
        wanted = step(f"{server.url}/org/out", outer_commit, tag="v1", submodules=True)
        outcomes = bring(cache, wanted)
    assert statuses(outcomes) == ["fetched", "failed"]
    said = [str(problem) for outcome in outcomes for problem in outcome.problems]
    assert [f"no branch or tag of it has the commit {'1' * 40}" in one for one in said] == [True]


def test_a_web_page_in_the_place_of_a_submodule_is_told_as_that(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    outer = Upstream(tmp_path / "git", "org/out")
    outer.commit("outer")
    with Origin() as origin:
        page = {"Content-Type": "text/html"}
        origin.on("GET", "/in/", times=None).answer(200, page, b"<html>Log in</html>")
        commit = outer.submodule("in", f"{origin.url}/in", outer, "1" * 40)
        outer.tag("v1")
        outer.publish()
        wanted = step(f"{server.url}/org/out", commit, tag="v1", submodules=True)
        said = failure(cache, wanted)
    assert "git fetch: a web page came in the place of the repository" in said


def test_a_submodule_that_no_cache_can_hold_is_named(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    commit = upstream.submodule("sub", "git@example.com:a/b.git", upstream, commit)
    upstream.tag("v1")
    upstream.publish()
    wanted = step(f"{server.url}/org/repo", commit, tag="v1", submodules=True)
    said = failure(cache, wanted)
    assert said.startswith("x.yaml:7: ")
    assert "submodule sub: " in said


def test_cherry_picks_are_there(server: GitServer, cache: Cache, tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1")
    upstream.commit("second", "other")
    pick = upstream.commit("picked", "picked")
    upstream.publish()
    why = f"# a comment\nmain/{pick}: CVE-1\n"
    wanted = step(f"{server.url}/org/repo", commit, tag="v1", picks=why)
    assert statuses(bring(cache, wanted)) == ["fetched"]
    work = checkout(cache, tmp_path, wanted)
    assert (work / "picked").exists()
    assert not (work / "other").exists()
    assert statuses(bring(Cache(cache.directory), wanted)) == ["present"]


def test_a_cherry_pick_may_be_short_and_of_whatever_a_clone_has(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    ahead = upstream.commit("ahead", "ahead")
    git(upstream.work, "checkout", "-q", "-b", "side")
    aside = upstream.commit("aside", "aside")
    upstream.commit("further", "aside")
    upstream.publish()
    uri = f"{server.url}/org/repo"
    wanted = step(uri, commit, branch="main", picks=f"{ahead[:10]}: why\n")
    assert statuses(bring(cache, wanted)) == ["fetched"]
    assert (checkout(cache, tmp_path, wanted) / "ahead").exists()
    assert statuses(bring(Cache(cache.directory), wanted)) == ["present"]
    both = step(uri, commit, branch="main", picks=f"{aside}: why\n")
    assert statuses(bring(Cache(cache.directory), both)) == ["fetched"]
    assert (checkout(cache, tmp_path, both) / "aside").exists()
    shutil.rmtree(cache.directory / "git")
    with GitServer(tmp_path / "git", old=True) as old:
        there = step(f"{old.url}/org/repo", commit, branch="main", picks=f"{aside}: why\n")
        assert statuses(bring(Cache(cache.directory), there)) == ["fetched"]
    shutil.rmtree(cache.directory / "git")
    short = step(uri, commit, branch="main", picks=f"{aside[:10]}: why\n")
    assert f"as BRANCH/{aside[:10]}" in failure(Cache(cache.directory), short)


def test_a_branch_that_steps_go_back_in_still_has_what_others_pick_from_it(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1")
    pick = upstream.commit("picked", "picked")
    upstream.commit("third")
    upstream.publish()
    uri = f"{server.url}/org/repo"
    picking = step(uri, commit, tag="v1", picks=f"main/{pick[:12]}: why\n")
    back = step(uri, commit, branch="main")
    for steps in ([picking, back], [back, picking]):
        shutil.rmtree(cache.directory / "git", ignore_errors=True)
        for one in steps:
            assert statuses(bring(Cache(cache.directory), one)) == ["fetched"]
        assert statuses(bring(Cache(cache.directory), *steps)) == ["present"]
        for one in steps:
            checkout(cache, tmp_path, one)
