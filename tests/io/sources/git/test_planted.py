"""What somebody else has put into the cache: git does not obey it, and nothing is written through it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from dag.io.sources.cache import Cache
from dag.io.sources.git.stored import prune_git, read_states
from tests.support.checkouts import bring, checkout, statuses, step
from tests.support.downloading import Silent
from tests.support.gitserver import GitServer, Upstream, git

if TYPE_CHECKING:
    from pathlib import Path

    from dag.core.package.model import Checkout


@pytest.fixture
def wanted(server: GitServer, cache: Cache, tmp_path: Path) -> Checkout:
    """Fetch a tag, and return the step that wants another one of the same repository."""
    upstream = Upstream(tmp_path / "git", "org/repo")
    first = upstream.commit("first")
    upstream.tag("v1")
    second = upstream.commit("second")
    upstream.tag("v2")
    upstream.publish()
    bring(cache, step(f"{server.url}/org/repo", first, tag="v1"))
    return step(f"{server.url}/org/repo", second, tag="v2")


@pytest.fixture
def bare(cache: Cache, server: GitServer) -> Path:
    return cache.directory / "git" / server.host / "org/repo.git"


CONFIGS = (
    "[core]\n\tsshCommand = {0}\n\tgitProxy = {0}\n\tfsmonitor = {0}\n\thooksPath = .\n",
    '[credential]\n\thelper = "!{0}"\n[http]\n\tproxy = http://127.0.0.1:1\n',
    '[url "ext::{0} "]\n\tinsteadOf = http://\n[protocol "ext"]\n\tallow = always\n',
    "[include]\n\tpath = /dev/zero\n",
    "[core]\n\tworktree = /\n\tbare = false\n[extensions]\n\tworktreeConfig = true\n",
    "\0 no configuration at all",
)


@pytest.mark.parametrize("text", CONFIGS)
@pytest.mark.parametrize("kept", [True, False])
def test_a_configuration_that_is_not_ours_is_not_read(
    cache: Cache, tmp_path: Path, wanted: Checkout, bare: Path, text: str, kept: bool
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/run\n")
    program.chmod(0o755)
    if not kept:  # as if nothing had been fetched yet
        shutil.rmtree(bare)
        bare.mkdir()
    (bare / "config").write_text(text.format(program))
    assert statuses(bring(Cache(cache.directory), wanted)) == ["fetched"]
    assert not (tmp_path / "run").exists()
    assert "bare = true" in (bare / "config").read_text()
    assert (checkout(cache, tmp_path, wanted) / "file").read_text() == "second"


@pytest.mark.parametrize(
    "name",
    [
        "hooks/reference-transaction",
        "commondir",
        "gitdir",
        "config.worktree",
        "worktrees/x/gitdir",
        "objects/info/alternates",
        "objects/info/http-alternates",
        "info/grafts",
        "info/attributes",
        "refs/replace/" + "1" * 40,
        "modules/x/config",
    ],
)
def test_what_leads_git_elsewhere_is_not_kept(
    cache: Cache, tmp_path: Path, wanted: Checkout, bare: Path, name: str
) -> None:
    (bare / name).parent.mkdir(parents=True, exist_ok=True)
    (bare / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/run\n")
    (bare / name).chmod(0o755)
    watcher = Silent()
    assert statuses(bring(Cache(cache.directory), wanted, watcher=watcher)) == ["fetched"]
    assert "damaged" in watcher.notes[0]
    assert not (bare / name).exists()
    assert not (tmp_path / "run").exists()


def test_objects_of_another_repository_are_not_taken(
    cache: Cache, tmp_path: Path, wanted: Checkout, bare: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    git(secret, "init", "-q", "--bare")
    shutil.rmtree(bare / "objects")
    (bare / "objects").symlink_to(secret / "objects")
    assert statuses(bring(Cache(cache.directory), wanted)) == ["fetched"]
    assert not (bare / "objects").is_symlink()
    assert list((secret / "objects").rglob("*.pack")) == []


@pytest.mark.parametrize("link", ["git", "git/{host}", "git/{host}/org", "git/{host}/org/repo.git"])
def test_a_link_on_the_way_to_a_repository_is_not_followed(
    server: GitServer, cache: Cache, tmp_path: Path, wanted: Checkout, link: str
) -> None:
    place = cache.directory / link.format(host=server.host)
    elsewhere = tmp_path / "elsewhere"
    place.rename(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    place.symlink_to(elsewhere)
    assert read_states(cache) == {}
    assert prune_git(cache, []) == []
    assert statuses(bring(Cache(cache.directory), wanted)) == ["fetched"]
    assert not place.is_symlink()
    assert sorted(elsewhere.rglob("*")) == before


def test_locks_that_a_killed_git_has_left_are_in_nobodys_way(
    cache: Cache, wanted: Checkout, bare: Path
) -> None:
    for name in ("HEAD.lock", "packed-refs.lock", "shallow.lock", "refs/tags/v2.lock"):
        (bare / name).write_text("")
    watcher = Silent()
    assert statuses(bring(Cache(cache.directory), wanted, watcher=watcher)) == ["fetched"]
    assert watcher.notes == []


def test_records_locks_and_staging_are_not_written_through_links(
    cache: Cache, tmp_path: Path, wanted: Checkout
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (cache.private / "verified").unlink()
    (cache.private / "verified").symlink_to(victim)
    shutil.rmtree(cache.private / "locks")
    locks = tmp_path / "locks"
    locks.mkdir()
    (cache.private / "locks").symlink_to(locks)
    for name in ("gitconfig", "melange.env"):
        (cache.directory / name).unlink()
        (cache.directory / name).symlink_to(victim)
    assert statuses(bring(Cache(cache.directory), wanted)) == ["fetched"]
    assert victim.read_text() == "mine"
    assert list(locks.iterdir()) == []
    elsewhere = tmp_path / "private"
    cache.private.rename(elsewhere)
    cache.private.symlink_to(elsewhere)
    before = (elsewhere / "verified").read_bytes()
    assert statuses(bring(Cache(cache.directory), wanted)) == ["present"]
    assert not cache.private.is_symlink()
    assert (elsewhere / "verified").read_bytes() == before
