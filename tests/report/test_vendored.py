"""Files of others are those that were taken, and each has its licence beside it."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

import dag.report.page

HERE = Path(dag.report.page.__file__).parent / "vendor"
FOR_TESTS = Path(__file__).parents[1] / "support/vendor"
BEGINNINGS = {
    "MIT": "Permission is hereby granted",
    "MPL-2.0": "Mozilla Public License, version 2.0",
}


@pytest.mark.parametrize("place", [HERE, FOR_TESTS])
def test_vendored_files_are_the_ones_that_were_taken(place: Path) -> None:
    listed = tomllib.loads((place / "vendored.toml").read_text())
    licences = {str(one["license-file"]) for one in listed.values()}
    assert {path.name for path in place.iterdir()} == {"vendored.toml", *listed, *licences}
    for name, about in listed.items():
        assert hashlib.sha256((place / name).read_bytes()).hexdigest() == about["sha256"], name
        words = " ".join((place / about["license-file"]).read_text().split())
        assert BEGINNINGS[about["license"]] in words


def test_no_script_could_end_its_own_element() -> None:
    for path in HERE.parent.rglob("*.js"):
        text = path.read_text().lower()
        assert "</script" not in text, path
        assert "<!--" not in text, path
