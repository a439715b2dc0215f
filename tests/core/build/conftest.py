"""The workspace of the tests of the build script, once for each sh."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripts import SHELLS, Workspace


@pytest.fixture(params=SHELLS)
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    return Workspace(SHELLS[request.param], tmp_path / "work space")
