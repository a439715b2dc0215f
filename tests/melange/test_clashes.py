"""Of two definitions of one package that counts which apko itself would take."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from dag.core.package.candidates import Candidate
from dag.io.package.definitions import read_directory
from tests.support.apko import ask

VALID = "1.1 1.01 1.001.5 1.0 1.06 1.6 1.10 2 02 1_rc1 1_p1 1a 0.9"
INVALID = "2~abc 2023-01-25 latest 1_p1_rc1 1_git_p 1ab 1. 99999999999999999999"
VERSIONS = f"{VALID} {INVALID}".split()


@pytest.fixture(scope="module")
def chosen() -> dict[tuple[str, str], set[str]]:
    """Return what apko takes of two versions, whichever is listed first."""
    found: dict[tuple[str, str], set[str]] = {}
    for pair in permutations(VERSIONS, 2):
        (answer,) = ask([Candidate("x", f"{one}-r0") for one in pair], [["x"]])
        low, high = sorted(pair)
        found.setdefault((low, high), set()).update(pair[place] for place in answer.choices["x"])
    return found


def test_it_is_the_version_that_apko_takes(
    tmp_path: Path, chosen: dict[tuple[str, str], set[str]]
) -> None:
    settled = 0
    for pair in permutations(VERSIONS, 2):
        for file, version in zip("ab", pair, strict=True):
            text = f"package: {{name: x, version: '{version}', epoch: 0}}\n"
            (tmp_path / f"{file}.yaml").write_text(text)
        (ours,) = read_directory(tmp_path, arch="x86_64", cached=False).packages
        low, high = sorted(pair)
        theirs = chosen[low, high]
        # Where the order of the index decides, both are equal to apko.
        assert ours.version == (min(theirs) if len(theirs) == 1 else pair[1]), (pair, theirs)
        settled += len(theirs) == 1
    assert settled > len(VERSIONS)
