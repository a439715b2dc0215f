"""Files of others are those that were taken, and each has its licence beside it."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import dag.report.page

HERE = Path(dag.report.page.__file__).parent / "vendor"


def test_vendored_files_are_the_ones_that_were_taken() -> None:
    listed = tomllib.loads((HERE / "vendored.toml").read_text())
    licences = {str(one["license-file"]) for one in listed.values()}
    assert {path.name for path in HERE.iterdir()} == {"vendored.toml", *listed, *licences}
    for name, about in listed.items():
        assert hashlib.sha256((HERE / name).read_bytes()).hexdigest() == about["sha256"], name
        assert "Permission is hereby granted" in (HERE / about["license-file"]).read_text()


def test_no_script_could_end_its_own_element() -> None:
    for path in HERE.parent.rglob("*.js"):
        text = path.read_text().lower()
        assert "</script" not in text, path
        assert "<!--" not in text, path
