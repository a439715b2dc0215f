"""Tags, branches and commits are verified, are as few as possible, and suffice for melange's step."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from dag.io.sources.cache import Cache
from dag.io.sources.git.stored import read_states
from tests.support.checkouts import bring, checkout, failure, statuses, step
from tests.support.gitserver import GitServer, Upstream, git

if TYPE_CHECKING:
    from pathlib import Path


def test_a_tag_is_cached_with_one_commit_and_checked_out_offline(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    upstream.commit("first")
    commit = upstream.commit("second")
    upstream.tag("v1")
    upstream.commit("third")
    upstream.publish()
    wanted = step(f"{server.url}/org/repo", commit, tag="v1")
    assert statuses(bring(cache, wanted)) == ["fetched"]
    bare = cache.directory / "git" / server.host / "org/repo.git"
    assert git(bare, "rev-list", "--all") == commit
    assert git(bare, "for-each-ref", "--format=%(refname)") == "refs/tags/v1"
    asked = len(server.requests)
    assert (checkout(cache, tmp_path, wanted) / "file").read_text() == "second"
    assert statuses(bring(Cache(cache.directory), wanted)) == ["present"]
    assert len(server.requests) == asked


@pytest.mark.parametrize("suffix", ["", ".git", "/", ".git/"])
def test_every_way_to_write_the_uri_leads_to_the_repository(
    server: GitServer, cache: Cache, tmp_path: Path, suffix: str
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1", annotated=True)
    upstream.publish()
    wanted = step(f"{server.url}/org/repo{suffix}", commit, tag="v1")
    assert statuses(bring(cache, wanted)) == ["fetched"]
    assert (checkout(cache, tmp_path, wanted) / "file").read_text() == "first"


def test_the_hash_of_an_annotated_tag_is_good_enough_as_for_melange(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    upstream.commit("first")
    wanted = step(f"{server.url}/org/repo", upstream.tag("v1", annotated=True), tag="v1")
    upstream.publish()
    assert statuses(bring(cache, wanted)) == ["fetched"]
    assert (checkout(cache, tmp_path, wanted) / "file").read_text() == "first"


def test_a_tag_wins_over_a_branch_of_its_name(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("tagged")
    upstream.tag("v1")
    git(upstream.work, "checkout", "-q", "-b", "v1")
    upstream.commit("branched")
    upstream.publish()
    wanted = step(f"{server.url}/org/repo", commit, tag="v1")
    assert statuses(bring(cache, wanted)) == ["fetched"]
    assert (checkout(cache, tmp_path, wanted) / "file").read_text() == "tagged"


def test_a_branch_is_cached_at_the_expected_commit_with_its_history_and_tags(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    upstream.commit("first")
    upstream.tag("v1", annotated=True)
    commit = upstream.commit("second")
    upstream.commit("third")
    upstream.publish()
    wanted = step(f"{server.url}/org/repo", commit, branch="main")
    assert statuses(bring(cache, wanted)) == ["fetched"]
    work = checkout(cache, tmp_path, wanted)
    assert (work / "file").read_text() == "second"
    assert git(work, "-c", "safe.directory=*", "describe").startswith("v1-1-g")


def test_steps_with_different_commits_of_a_branch_share_its_history(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commits = [upstream.commit(text) for text in ("first", "second", "third")]
    upstream.publish()
    wanted = [step(f"{server.url}/org/repo", commit, branch="main") for commit in commits[:2]]
    assert statuses(bring(cache, *wanted)) == ["fetched"]
    for item, text in zip(wanted, ("first", "second"), strict=True):
        assert (checkout(cache, tmp_path, item) / "file").read_text() == text
    asked = len(server.requests)
    assert statuses(bring(Cache(cache.directory), *wanted)) == ["present"]
    assert len(server.requests) == asked


@pytest.mark.parametrize("branch", ["main", ""])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_commit_that_another_step_or_run_goes_back_behind_stays_in_the_branch(
    server: GitServer, cache: Cache, tmp_path: Path, branch: str, order: tuple[int, int]
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commits = [upstream.commit(text) for text in ("first", "second", "third")]
    upstream.publish()
    uri = f"{server.url}/org/repo"
    wanted = [step(uri, commits[number], branch=branch, depth="-1") for number in order]
    for known in (wanted[:1], wanted[1:], wanted):
        assert "failed" not in statuses(bring(Cache(cache.directory), *known))
    for item, number in zip(wanted, order, strict=True):
        text = ("first", "second")[number]
        assert (checkout(cache, tmp_path, item) / "file").read_text() == text
    assert statuses(bring(Cache(cache.directory), *wanted, verify=True)) == ["present"]
    # That is so at once, and what a state of an earlier dag claims does not count.
    state = json.loads((path := next(cache.directory.rglob("dag.json"))).read_text())
    (entry,) = state["refs"].values()
    entry.pop("tip")
    entry |= {"at": commits[0], "expected": sorted(commits[:2])}
    path.write_text(json.dumps(state))
    git(path.parent, "update-ref", "refs/heads/main" if branch else "HEAD", commits[0])
    assert statuses(bring(Cache(cache.directory), *wanted)) == ["fetched"]
    shutil.rmtree(path.parent)
    assert statuses(bring(Cache(cache.directory), *wanted)) == ["fetched"]
    for item in wanted:
        checkout(cache, tmp_path, item)


def test_a_branch_that_was_forced_elsewhere_loses_what_it_no_longer_has(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    upstream.commit("first")
    before = upstream.commit("before")
    upstream.publish()
    uri = f"{server.url}/org/repo"
    old = step(uri, before, branch="main", line=1)
    assert statuses(bring(cache, old)) == ["fetched"]
    git(upstream.work, "reset", "-q", "--hard", "HEAD^")
    after = upstream.commit("after")
    upstream.publish()
    assert statuses(bring(Cache(cache.directory), old)) == ["present"]
    said = failure(Cache(cache.directory), old, step(uri, after, branch="main", line=2))
    assert said == f"x.yaml:1: {uri}: expected {before} is not in branch main, whose tip is {after}"
    assert "not in branch main" in failure(Cache(cache.directory), old)
    new = step(uri, after, branch="main")
    assert statuses(bring(Cache(cache.directory), new)) == ["present"]
    assert (checkout(cache, tmp_path, new) / "file").read_text() == "after"


@pytest.mark.parametrize(("depth", "is_tip"), [("unset", True), ("-1", True), ("1", False)])
def test_a_step_that_takes_only_the_tip_gets_no_older_commit(
    server: GitServer, cache: Cache, tmp_path: Path, depth: str, is_tip: bool
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    first, second = upstream.commit("first"), upstream.commit("second")
    upstream.publish()
    uri = f"{server.url}/org/repo"
    history = step(uri, first, branch="main", line=1)
    stale = step(uri, first, branch="main", depth=depth, is_tip=is_tip, line=2)
    assert statuses(bring(cache, history)) == ["fetched"]
    for steps in ([stale], [history, stale]):
        said = failure(Cache(cache.directory), *steps)
        assert said.startswith(f"x.yaml:2: {uri}: branch main is {second}, expected {first}")
        assert "x.yaml:1" not in said
    fresh = step(uri, second, branch="main", depth=depth, is_tip=is_tip)
    assert statuses(bring(Cache(cache.directory), fresh, history)) == ["fetched"]
    for wanted in (fresh, history):
        checkout(cache, tmp_path, wanted)
    # The cache stays where the step was verified, whatever the server does.
    upstream.commit("third")
    upstream.publish()
    assert statuses(bring(Cache(cache.directory), fresh, history)) == ["present"]
    assert statuses(bring(Cache(cache.directory), history, fresh, verify=True)) == ["present"]


def test_a_branch_or_tag_that_the_remote_has_renamed_below_itself_is_cached(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    git(upstream.work, "branch", "rel")
    upstream.tag("old")
    upstream.publish()
    uri = f"{server.url}/org/repo"
    before = step(uri, commit, branch="rel", line=1)
    bring(cache, before)
    git(upstream.work, "branch", "-m", "rel", "rel/1.0")
    git(upstream.work, "tag", "-d", "old")
    upstream.tag("old/1")
    upstream.publish()
    after = step(uri, commit, branch="rel/1.0", line=2)
    # The old one stays as long as a step asks for it.
    said = failure(Cache(cache.directory), before, after)
    assert said.startswith(f"x.yaml:2: {uri}: git update-ref: ")
    assert "'refs/heads/rel' exists" in said
    assert statuses(bring(Cache(cache.directory), after)) == ["fetched"]
    checkout(cache, tmp_path, after)
    assert statuses(bring(Cache(cache.directory), after, verify=True)) == ["present"]
    bare = cache.directory / "git" / server.host / "org/repo.git"
    names = git(bare, "for-each-ref", "--format=%(refname)").splitlines()
    assert names == ["refs/heads/rel/1.0", "refs/tags/old/1"]


def test_a_tag_is_there_by_its_own_hash_and_by_that_of_the_commit(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    tagged = upstream.tag("v1", annotated=True)
    upstream.publish()
    wanted = [step(f"{server.url}/org/repo", one, tag="v1") for one in (commit, tagged)]
    assert statuses(bring(cache, *wanted)) == ["fetched"]
    assert statuses(bring(Cache(cache.directory), *wanted)) == ["present"]
    for item in wanted:
        checkout(cache, tmp_path, item)


def test_several_refs_and_depths_live_in_one_repository(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commits = {}
    for number in range(1, 6):
        commits[f"v{number}"] = upstream.commit(f"{number}")
        upstream.tag(f"v{number}")
    upstream.publish()
    uri = f"{server.url}/org/repo"
    first, deep = step(uri, commits["v5"], tag="v5"), step(uri, commits["v4"], tag="v4", depth="3")
    whole = step(uri, commits["v3"], branch="main")
    head = step(uri, commits["v5"])
    for known in ([first], [first, deep], [first, deep, head], [first, deep, head, whole]):
        assert statuses(bring(cache, *known)) == ["fetched"]
        for wanted in known:
            work = checkout(cache, tmp_path, wanted)
            assert (
                git(work, "-c", "safe.directory=*", "rev-parse", "HEAD") == wanted.expected_commit
            )
        assert statuses(bring(Cache(cache.directory), *known)) == ["present"]
    work = checkout(cache, tmp_path, whole)
    assert git(work, "-c", "safe.directory=*", "rev-list", "--count", "HEAD") == "3"


def test_the_default_branch_is_cached_only_while_it_is_the_expected_commit(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.publish()
    wanted = step(f"{server.url}/org/repo", commit)
    assert statuses(bring(cache, wanted)) == ["fetched"]
    assert (checkout(cache, tmp_path, wanted) / "file").read_text() == "first"
    upstream.commit("second")
    upstream.publish()
    shutil.rmtree(cache.directory / "git")
    assert "expected " + commit in failure(cache, wanted)


def test_a_ref_that_is_another_commit_never_gets_its_name(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1")
    upstream.publish()
    other = "1" * 40
    uri = f"{server.url}/org/repo"
    said = failure(
        cache,
        step(uri, other, tag="v1", line=1),
        step(uri, other, branch="main", line=2),
        step(uri, commit, tag="v2", line=3),
    )
    assert f"x.yaml:1: {uri}: tag v1 is {commit}, expected {other}" in said
    assert f"x.yaml:2: {uri}: expected {other} is not in branch main" in said
    assert "x.yaml:3: " in said
    assert read_states(cache) == {}
    bare = cache.directory / "git" / server.host / "org/repo.git"
    names = git(bare, "for-each-ref", "--format=%(refname)").splitlines()
    assert [name for name in names if not name.startswith("refs/dag/")] == []
    assert "includeIf" not in (cache.directory / "gitconfig").read_text()
