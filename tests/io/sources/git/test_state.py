"""Repositories that are there: the messages about them, damage, other runs, and those of an image."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from dag.core.sources.checkouts import repositories_of
from dag.io.sources.cache import Cache
from dag.io.sources.git.cache import GitCache, GitOutcome, adopt
from dag.io.sources.git.process import GitLimits
from dag.io.sources.git.stored import prune_git, read_states
from tests.support.checkouts import RETRY, bring, checkout, failure, statuses, step
from tests.support.downloading import Silent
from tests.support.gitserver import GitServer, Upstream

if TYPE_CHECKING:
    from pathlib import Path


def test_the_state_says_what_was_verified(server: GitServer, cache: Cache, tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commit = upstream.commit("first")
    upstream.tag("v1")
    upstream.publish()
    bring(cache, step(f"{server.url}/org/repo", commit, tag="v1"))
    (state,) = read_states(cache).values()
    assert json.loads(state.text())["refs"] == {
        "refs/tags/v1": {"at": commit, "expected": [commit]}
    }


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
    prune_git(cache, repositories_of([wanted]).repositories, dry_run=True)
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
    # An attempt without a network leaves nothing.
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
    held = fourth.try_lock(f"{server.host}/org/repo")
    assert held is not None
    assert "another process" in str(take(fourth, bare))
    held.release()


def test_two_processes_worth_of_runs_at_once_do_not_harm_each_other(
    server: GitServer, cache: Cache, tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path / "git", "org/repo")
    commits = [upstream.commit(f"{n}") for n in range(4)]
    upstream.publish()
    steps = [step(f"{server.url}/org/repo", commit, branch="main") for commit in commits]
    wanted = repositories_of(steps).repositories

    async def both() -> list[list[GitOutcome]]:
        caches = [GitCache(Cache(cache.directory), Silent(), retry=RETRY) for _ in range(3)]
        return await asyncio.gather(*(one.run(wanted) for one in caches))

    results = asyncio.run(both())
    assert sorted(one[0].status for one in results) == ["fetched", "present", "present"]
