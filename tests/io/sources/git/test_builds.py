"""The repositories that a build gets from the cache, and those that it gets from their servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from dag.io.sources.cache import Cache
from dag.io.sources.git.stored import write_config
from tests.support.checkouts import bring, checkout, statuses, step
from tests.support.gitserver import GitServer, Upstream

if TYPE_CHECKING:
    from pathlib import Path


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
    ways = [*(f"{uri}{end}" for end in (".git", "", "/", "//")), f"{server.url}//org/foo"]
    written = [replace(wanted["foo"], repository=way) for way in ways]
    bring(cache, *written, parent)
    for one in written:
        checkout(cache, tmp_path, one)
    # No definition for which the cache was filled names these.
    for name in ("foo-plugins", "foo/nested"):
        work = checkout(cache, tmp_path, wanted[name], network=True)
        assert (work / "file").read_text() == name
    work = checkout(cache, tmp_path, replace(parent, recurse_submodules=True), network=True)
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
        # If nobody says what the definitions want, what was known stays valid.
        write_config(cache)
        checkout(cache, tmp_path, unpinned, network=True)
        assert statuses(bring(Cache(cache.directory), pinned)) == ["present"]
        assert (checkout(cache, tmp_path, pinned) / "file").read_text() == "first"
