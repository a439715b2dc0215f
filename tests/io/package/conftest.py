"""A small directory of definitions, and a cache of what was read of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.directories import define


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dag" / "definitions"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "definitions"
    (root / "pipelines" / "own").mkdir(parents=True)
    (root / "pipelines/own/step.yaml").write_text("needs: {packages: [first]}\n")
    define(root, "a", "pipeline: [{uses: own/step}]")
    define(root, "b")
    return root
