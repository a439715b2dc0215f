"""Common files that are not there are told as what they are."""

from __future__ import annotations

import pytest

from dag.errors import UsageError
from dag.run.build.common import common_entries


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("/etc/passwd", "it is not a path within the directory"),
        ("../licenses", "it is not a path within the directory"),
        ("licenses", "no file of the directory that belongs to no package is called so"),
    ],
)
def test_a_word_that_names_nothing_is_refused_with_the_reason(word: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        common_entries([], [word])
    assert refused.value.message == f"{word} is to be common to all units, and {why}"
