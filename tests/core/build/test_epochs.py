"""The last commit that touched what is a unit's own."""

from __future__ import annotations

from collections.abc import Iterator

from dag.core.build.epochs import Commit, Touch, last_touches

WATCHED = {"a": {"a.yaml", "a/", "shared/x"}, "b": {"b.yaml", "b/", "pipelines/p.yaml"}}


def touches(*commits: Commit, common: set[str] | None = None) -> dict[str, Touch]:
    return last_touches(commits, WATCHED, common or {"Makefile"})


def test_each_unit_has_that_of_the_latest_commit_to_its_own_files() -> None:
    assert touches(
        Commit(9, ("README.md", "c.yaml", "shared/y")),
        Commit(8, ("a/deep/gone.patch",)),
        Commit(7, ("a.yaml", "pipelines/p.yaml")),
        Commit(6, ("Makefile",)),
    ) == {"a": Touch(8, is_boundary=False), "b": Touch(7, is_boundary=False)}


def test_a_commit_to_a_common_file_touches_all() -> None:
    found = touches(Commit(9, ("b/x",)), Commit(8, ("Makefile", "b.yaml")), Commit(7, ("a.yaml",)))
    assert found == {"b": Touch(9, is_boundary=False), "a": Touch(8, is_boundary=False)}


def test_nothing_is_known_of_what_no_commit_touched_and_no_more_are_read_than_needed() -> None:
    assert touches(Commit(9, ("b.yaml",))) == {"b": Touch(9, is_boundary=False)}

    def commits() -> Iterator[Commit]:
        yield Commit(9, ("a.yaml", "shared/x", "b.yaml"))
        raise AssertionError("too many")

    assert set(last_touches(commits(), WATCHED, ())) == {"a", "b"}
    assert last_touches(commits(), {}, ()) == {}


def test_the_first_commit_of_a_shallow_clone_is_told() -> None:
    assert touches(Commit(9, ("a.yaml",), is_boundary=True))["a"] == Touch(9, is_boundary=True)
