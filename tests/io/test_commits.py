"""The commits of a directory, as git tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.build.epochs import Commit
from dag.io.graph.git import commits
from tests.support.gitrepos import commit, git


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "repository"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    commit(place, 1, a="1", dir__b="1", **{"with space\n": "1"})
    commit(place, 2, dir__b="2")
    commit(place, 3, outside="1")
    git(place, "checkout", "-q", "-b", "other", "HEAD~1")
    commit(place, 4, a="2")
    git(place, "checkout", "-q", "main")
    git(place, "merge", "-q", "--no-edit", "other", time=5)
    return place


def told(place: Path) -> list[tuple[int, set[str], bool]]:
    return [
        (one.time - 1_700_000_000, set(one.paths), one.is_boundary)
        for one in commits(place)
        if one.paths
    ]


def test_they_come_with_the_files_that_they_touch(place: Path) -> None:
    assert told(place) == [
        (4, {"a"}, False),
        (3, {"outside"}, False),
        (2, {"dir/b"}, False),
        (1, {"a", "dir/b", "with space\n"}, False),
    ]
    assert told(place / "dir") == [(2, {"b"}, False), (1, {"b"}, False)]


def test_one_need_not_read_them_all(place: Path) -> None:
    assert isinstance(next(iter(commits(place))), Commit)


def test_a_shallow_clone_says_where_it_ends(place: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{place}", str(clone))
    found = told(clone)
    assert [one for one in found if not one[2]] == []
    assert {time for time, _, is_boundary in found if is_boundary} == {3, 4}


def test_where_there_is_no_repository_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert told(tmp_path / "empty") == []
    git(tmp_path / "empty", "init", "-q")
    assert told(tmp_path / "empty") == []
