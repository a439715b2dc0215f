"""A directory of definitions, for the tests of bundles."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Return a directory that has everything that stays in a bundle."""
    root = tmp_path / "repo"
    (root / "pipelines" / "go").mkdir(parents=True)
    (root / "brotli.yaml").write_text("package:\n  name: brotli\n")
    (root / "pipelines" / "go" / "build.yaml").write_text("name: build\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link.yaml").symlink_to("brotli.yaml")
    (root / "empty").mkdir()
    return root
