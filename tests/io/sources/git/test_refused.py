"""Steps for which no repository is fetched: no server is asked."""

from __future__ import annotations

import pytest

from dag.core.sources.checkouts import repositories_of
from tests.support.checkouts import step


def test_the_tip_of_something_else_than_a_branch_is_refused() -> None:
    for wanted in (
        step("https://h/a", "1" * 40, tag="v1", is_tip=True),
        step("https://h/a", "1" * 40, is_tip=True),
    ):
        (problem,) = repositories_of([wanted]).problems
        assert "expected-commit-is-branch-tip" in str(problem)


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
    found = repositories_of([step(uri, "1" * 40, tag="v1")])
    assert found.repositories == []
    assert len(found.problems) == 1
    assert "pw" not in str(found.problems[0])


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
        assert len(repositories_of([wanted]).problems) == 1


@pytest.mark.parametrize("commit", ["1" * 39, "A" * 40, "HEAD", "--all"])
def test_other_commits_are_refused(commit: str) -> None:
    assert len(repositories_of([step("https://h/a", commit, tag="v1")]).problems) == 1


def test_a_step_without_expected_commit_is_reported_and_not_cached() -> None:
    found = repositories_of([step("https://h/a", tag="v1")])
    (repository,) = found.repositories
    assert (repository.wants, repository.unpinned) == ((), ("refs/tags/v1",))
    assert found.problems == []
    assert "no expected-commit" in str(found.unpinned[0])


def test_a_repository_with_other_hashes_is_refused_at_once() -> None:
    found = repositories_of([step("https://h/a", "1" * 64, tag="v1")])
    assert found.repositories == []
    assert "SHA-256" in str(found.problems[0])
