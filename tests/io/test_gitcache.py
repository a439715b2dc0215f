"""Repositories that stand in for the real ones: verified, minimal, and enough for melange's step."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from cluster import parts
from dag.core.checkouts import repositories
from dag.core.definitions import Checkout
from dag.core.sources import RetryPolicy
from dag.io.cache import Cache
from dag.io.gitcache import GitCache, GitOutcome, adopt, prune_git, stored, write_config
from dag.io.gitprocess import GitLimits
from tests.faults import Origin
from tests.io.gitserver import GitServer, Upstream, git
from tests.io.test_downloads import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RETRY = RetryPolicy(attempts=2, first=0.001, longest=0.001)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "git") as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def step(
    repository: str,
    commit: str = "",
    *,
    tag: str = "",
    branch: str = "",
    depth: str = "unset",
    submodules: bool = False,
    picks: str = "",
    line: int = 7,
    is_tip: bool = False,
) -> Checkout:
    what = (repository, tag, branch, commit, depth, submodules, picks)
    return Checkout(*what, ".", "x.yaml", line, is_branch_tip=is_tip)


def bring(
    cache: Cache,
    *steps: Checkout,
    limits: GitLimits | None = None,
    verify: bool = False,
    watcher: Silent | None = None,
) -> list[GitOutcome]:
    wanted, problems, _ = repositories(steps)
    assert not problems
    gits = GitCache(cache, watcher or Silent(), retry=RETRY, limits=limits, verify=verify)
    outcomes = asyncio.run(gits.run(wanted))
    write_config(cache, wanted)
    return outcomes


def failure(cache: Cache, *steps: Checkout, limits: GitLimits | None = None) -> str:
    outcomes = bring(cache, *steps, limits=limits)
    assert "failed" in {outcome.status for outcome in outcomes}
    return "\n".join(str(problem) for outcome in outcomes for problem in outcome.problems)


def statuses(outcomes: list[GitOutcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def checkout(cache: Cache, tmp_path: Path, wanted: Checkout, *, network: bool = False) -> Path:
    """Run melange's own git-checkout step, unmodified, on the cache, mostly without any network."""
    inputs = {
        "repository": wanted.repository,
        "destination": ".",
        "depth": wanted.depth,
        "branch": wanted.branch,
        "tag": wanted.tag,
        "expected-commit": wanted.expected_commit,
        "recurse-submodules": str(wanted.recurse_submodules).lower(),
        "cherry-picks": wanted.cherry_picks,
        "expected-commit-is-branch-tip": str(wanted.is_branch_tip).lower(),
    }
    text = (parts.pipelines() / "git-checkout.yaml").read_text()
    pipeline = yaml.safe_load(text)
    for name, given in pipeline["inputs"].items():
        inputs.setdefault(name, _text(given.get("default", "")))
    inputs["max-retries"] = "0"
    script = re.sub(
        r"\$\{\{inputs\.([a-z-]+)\}\}", lambda m: inputs[m[1]], pipeline["pipeline"][0]["runs"]
    )
    work = tmp_path / "workspace"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    command = ["bwrap", "--dev-bind", "/", "/", *([] if network else ["--unshare-net"])]
    command += ["--tmpfs", "/var/cache"]
    command += ["--ro-bind", str(cache.directory), "/var/cache/melange", "--chdir", str(work)]
    command += ["--tmpfs", "/root", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]
    command += ["--setenv", "HOME", "/root"]
    for line in (cache.directory / "melange.env").read_text().splitlines():
        name, _, value = line.partition("=")
        command += ["--setenv", name, value]
    done = subprocess.run(
        [*command, "bash", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return work


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
    # At once, too, and what a state of an earlier dag claims counts for nothing.
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
    # The cache stays where the step was verified, whatever the remote does.
    upstream.commit("third")
    upstream.publish()
    assert statuses(bring(Cache(cache.directory), fresh, history)) == ["present"]
    assert statuses(bring(Cache(cache.directory), history, fresh, verify=True)) == ["present"]


def test_the_tip_of_something_else_than_a_branch_is_refused() -> None:
    for wanted in (
        step("https://h/a", "1" * 40, tag="v1", is_tip=True),
        step("https://h/a", "1" * 40, is_tip=True),
    ):
        (problem,) = repositories([wanted])[1]
        assert "expected-commit-is-branch-tip" in str(problem)


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
    # As long as a step asks for the old one, it stays.
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
    assert prune_git(cache, repositories([wanted])[0]) == []
    assert len(prune_git(cache, [])) == 3
    assert stored(cache) == {}


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
    assert stored(cache) == {}
    bare = cache.directory / "git" / server.host / "org/repo.git"
    names = git(bare, "for-each-ref", "--format=%(refname)").splitlines()
    assert [name for name in names if not name.startswith("refs/dag/")] == []
    assert "includeIf" not in (cache.directory / "gitconfig").read_text()


def test_a_repository_goes_to_its_own_cache_only_whatever_its_name_begins_with(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    wanted = {}
    for name in ("foo", "foo-plugins", "foo/nested"):
        upstream = Upstream(tmp_path / "git", f"org/{name}")
        commit = upstream.commit(name)
        upstream.tag("v1")
        upstream.publish()
        wanted[name] = step(f"{server.url}/org/{name}", commit, tag="v1")
    outer = Upstream(tmp_path / "git", "org/outer")
    outer.commit("outer")
    inner = wanted["foo-plugins"].expected_commit
    outer_commit = outer.submodule("sub", "../foo-plugins", outer, inner)
    outer.tag("v1")
    outer.publish()
    parent = step(f"{server.url}/org/outer", outer_commit, tag="v1")
    uri = wanted["foo"].repository
    written = [wanted["foo"]._replace(repository=f"{uri}{end}") for end in (".git", "", "/")]
    bring(cache, *written, parent)
    for one in written:
        checkout(cache, tmp_path, one)
    # None of the definitions that the cache was filled for names these.
    for name in ("foo-plugins", "foo/nested"):
        work = checkout(cache, tmp_path, wanted[name], network=True)
        assert (work / "file").read_text() == name
    work = checkout(cache, tmp_path, parent._replace(recurse_submodules=True), network=True)
    assert (work / "sub/file").read_text() == "foo-plugins"


def test_builds_get_a_repository_from_the_cache_if_all_that_definitions_want_of_it_is_there(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1")
    upstream.commit("second")
    upstream.tag("v2")
    upstream.publish()
    uri = f"{server.url}/org/repo"
    pinned, unpinned = step(uri, commit, tag="v1"), step(uri, tag="v2")
    gone = step(uri, commit, tag="v3")
    for other in (unpinned, gone):
        bring(cache, pinned, other)
        for wanted in (pinned, unpinned):
            work = checkout(cache, tmp_path, wanted, network=True)
            assert (work / "file").read_text() == ("first" if wanted == pinned else "second")
        # What was known holds when nobody says what definitions want.
        write_config(cache)
        checkout(cache, tmp_path, unpinned, network=True)
        assert statuses(bring(Cache(cache.directory), pinned)) == ["present"]
        assert (checkout(cache, tmp_path, pinned) / "file").read_text() == "first"


def test_damage_is_noticed_and_mended(server: GitServer, cache: Cache, tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first" * 1000)
    upstream.tag("v1")
    upstream.publish()
    wanted = step(f"{server.url}/org/repo", commit, tag="v1")
    bring(cache, wanted)
    bare = cache.directory / "git" / server.host / "org/repo.git"
    (pack,) = (bare / "objects/pack").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(data)
    watcher = Silent()
    assert statuses(bring(Cache(cache.directory), wanted, watcher=watcher)) == ["fetched"]
    assert "damaged" in watcher.notes[0]
    (bare / "refs/tags/v1").unlink()
    assert statuses(bring(Cache(cache.directory), wanted)) == ["fetched"]
    assert (checkout(cache, tmp_path, wanted) / "file").exists()
    assert statuses(bring(Cache(cache.directory), wanted, verify=True)) == ["present"]


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("HEAD", b""),
        ("HEAD", b"ref: refs/heads/../../../x\n"),
        ("packed-refs", b"\xff\xfe\n"),
        ("shallow", b"?\n"),
        ("refs/tags/v1", b"\xff\xfe\n"),
        ("refs/tags/v1", b""),
        ("dag.json", b""),
        ("dag.json", b"[]"),
        ("dag.json", b"[" * 100_000),
        ("dag.json", b'{"refs": {"refs/tags/v1": 5}}'),
    ],
)
def test_a_file_that_git_or_dag_cannot_read_is_damage(
    server: GitServer, cache: Cache, tmp_path: Path, file: str, data: bytes
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1")
    upstream.publish()
    wanted = step(f"{server.url}/org/repo", commit, tag="v1")
    bring(cache, wanted)
    bare = cache.directory / "git" / server.host / "org/repo.git"
    (bare / file).write_bytes(data)
    prune_git(cache, repositories([wanted])[0], dry_run=True)
    watcher = Silent()
    assert statuses(bring(Cache(cache.directory), wanted, watcher=watcher)) == ["fetched"]
    assert "damaged" in watcher.notes[0]
    assert (checkout(cache, tmp_path, wanted) / "file").exists()
    assert statuses(bring(Cache(cache.directory), wanted)) == ["present"]


def take(cache: Cache, bare: Path, **changes: object) -> str | None:
    """Adopt a copy of a repository, as from an image, with changes to its state."""
    staging = cache.private / "incoming"
    shutil.rmtree(staging, ignore_errors=True)
    relative = bare.relative_to(bare.parents[2])
    shutil.copytree(bare, staging / "git" / relative)
    file = staging / "git" / relative / "dag.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return asyncio.run(adopt(cache, staging, relative, GitLimits()))


@pytest.mark.parametrize(
    "changes",
    [
        {"bases": 5},
        {"bases": [5]},
        {"submodules": 5},
        {"submodules": [{}]},
        {"picks": 5},
        {"picks": ["main/--all"]},
        {"depth": "x"},
        {"depth": -1},
        {"refs": 5},
        {"refs": {"refs/tags/v1": {"at": "1" * 40}}},
        {"refs": {"refs/tags/v1": {"at": "1" * 40, "expected": 5}}},
        {"refs": {"refs/tags/v1": {"at": 5, "expected": []}}},
        {"refs": {"refs/tags/v\0": {"at": "1" * 40, "expected": []}}},
        {"refs": {"--all": {"at": "1" * 40, "expected": []}}},
        {"refs": {}},
    ],
)
def test_a_state_of_another_shape_is_not_taken_from_an_image(
    server: GitServer, cache: Cache, tmp_path: Path, changes: dict[str, object]
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1")
    upstream.publish()
    bring(cache, step(f"{server.url}/org/repo", commit, tag="v1"))
    bare = cache.directory / "git" / server.host / "org/repo.git"
    other = Cache(tmp_path / "other")
    assert take(other, bare, **changes) == "its objects or refs are not what they should be"
    assert list(other.directory.glob("git/*")) == []
    assert take(other, bare) is None


def test_a_repository_of_an_image_fills_one_that_has_less_and_else_says_so(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commits = []
    for number in (1, 2, 3):
        commits.append(upstream.commit(f"{number}"))
        upstream.tag(f"v{number}")
    upstream.publish()
    uri = f"{server.url}/org/repo"
    steps = [step(uri, commit, tag=f"v{n}") for n, commit in enumerate(commits, 1)]
    bring(cache, *steps[:2])
    bare = cache.directory / "git" / server.host / "org/repo.git"
    other = Cache(tmp_path / "other")
    # What an attempt without network leaves is nothing.
    failure(other, step(uri, "1" * 40, tag="v9"))
    assert take(other, bare) is None
    assert statuses(bring(Cache(other.directory), *steps[:2])) == ["present"]
    third = Cache(tmp_path / "third")
    bring(third, steps[0])
    assert take(third, bare) is None
    assert statuses(bring(Cache(third.directory), *steps[:2])) == ["present"]
    fourth = Cache(tmp_path / "fourth")
    bring(fourth, steps[2])
    said = take(fourth, bare)
    assert said is not None
    assert "has refs/tags/v3 that it lacks, and lacks refs/tags/v1, refs/tags/v2: run dag" in said
    assert statuses(bring(Cache(fourth.directory), steps[2])) == ["present"]
    bring(fourth, *steps)
    assert take(fourth, bare) is None
    held = fourth.hold(f"{server.host}/org/repo")
    assert held is not None
    assert "another process" in str(take(fourth, bare))
    os.close(held)


def test_two_processes_worth_of_runs_at_once_do_not_harm_each_other(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commits = [upstream.commit(f"{n}") for n in range(4)]
    upstream.publish()
    steps = [step(f"{server.url}/org/repo", commit, branch="main") for commit in commits]
    wanted, _, _ = repositories(steps)

    async def both() -> list[list[GitOutcome]]:
        caches = [GitCache(Cache(cache.directory), Silent(), retry=RETRY) for _ in range(3)]
        return await asyncio.gather(*(one.run(wanted) for one in caches))

    results = asyncio.run(both())
    assert sorted(one[0].status for one in results) == ["fetched", "present", "present"]


@pytest.mark.parametrize(
    "uri",
    [
        "ext::sh -c true",
        "file:///etc",
        "ssh://git@example.com/x",
        "git@example.com:a/b",
        "-oProxyCommand=x",
        "https://example.com/../../etc",
        "https://example.com/a/./b",
        "https://example.com/a.git/b",
        "https://example.com/-x",
        "https://example.com/.dag",
        "https://example.com/a%2e%2e/b",
        "https://example.com/a?x",
        "https://example.com/",
        "https://user:pw@example.com/a",
        "https://exa..mple.com/a",
        "https://../a",
    ],
)
def test_other_uris_are_refused(uri: str) -> None:
    found, problems, _ = repositories([step(uri, "1" * 40, tag="v1")])
    assert found == []
    assert len(problems) == 1
    assert "pw" not in str(problems[0])


@pytest.mark.parametrize(
    "name",
    [
        "-x",
        "a..b",
        "a b",
        "a~1",
        "a:b",
        "a\n",
        "@{x",
        "@",
        ".a",
        "a/.b",
        "a.lock",
        "/a",
        "a.",
        "a//b",
    ],
)
def test_other_refs_are_refused(name: str) -> None:
    for wanted in (
        step("https://h/a", "1" * 40, tag=name),
        step("https://h/a", "1" * 40, branch=name),
    ):
        assert len(repositories([wanted])[1]) == 1


@pytest.mark.parametrize("commit", ["1" * 39, "A" * 40, "HEAD", "--all"])
def test_other_commits_are_refused(commit: str) -> None:
    assert len(repositories([step("https://h/a", commit, tag="v1")])[1]) == 1


def test_a_step_without_expected_commit_is_reported_and_not_cached() -> None:
    (found,), problems, unpinned = repositories([step("https://h/a", tag="v1")])
    assert (found.wants, found.unpinned, problems) == ((), ("refs/tags/v1",), [])
    assert "no expected-commit" in str(unpinned[0])


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


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_answer_that_will_stay_is_not_asked_for_again(cache: Cache, status: int) -> None:
    with Origin() as origin:
        origin.on("GET", "/a/", times=None).answer(status, {"WWW-Authenticate": "Basic realm=x"})
        failure(cache, step(f"{origin.url}/a", "1" * 40, tag="v1"))
        assert origin.count() <= 2  # git itself asks again when it has a password


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


def test_what_a_user_prefers_for_new_repositories_does_not_count(
    server: GitServer, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1")
    upstream.publish()
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    wanted = step(f"{server.url}/org/repo", commit, tag="v1")
    assert statuses(bring(cache, wanted)) == ["fetched"]
    checkout(cache, tmp_path, wanted)


def test_a_repository_with_other_hashes_is_refused_at_once() -> None:
    found, problems, _ = repositories([step("https://h/a", "1" * 64, tag="v1")])
    assert found == []
    assert "SHA-256" in str(problems[0])


def test_the_state_says_what_was_verified(server: GitServer, cache: Cache, tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1")
    upstream.publish()
    bring(cache, step(f"{server.url}/org/repo", commit, tag="v1"))
    (state,) = stored(cache).values()
    assert json.loads(state.text())["refs"] == {
        "refs/tags/v1": {"at": commit, "expected": [commit]}
    }
