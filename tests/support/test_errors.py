"""The page of errors has the paths of nobody's machine."""

from __future__ import annotations

import pytest

from tests.support.errors import read_error, read_page


@pytest.mark.parametrize(
    "place",
    [
        "/tmp/pytest-of-me/pytest-7/popen-gw1/test_it0",
        "/tmp/base/test_it0",
        "/tmp/base/popen-gw0/test_a_table_that_is_no_comman0",
    ],
)
@pytest.mark.parametrize("rest", ["/dag.toml:1: it is wrong", ": it is wrong"])
def test_the_directory_of_a_test_is_that_of_anybody(place: str, rest: str) -> None:
    seen = read_error(2, f"dag: {place}{rest}\n")
    assert seen is not None
    assert seen.text == f"dag: /home/you{rest}"


def test_the_page_names_no_directory_of_a_test() -> None:
    assert not [one.text for one in read_page() if "/test_" in one.text]
