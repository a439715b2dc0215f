"""A distribution whose sources come from a server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.caching import BODIES, sha256, write
from tests.support.faults import Origin


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        for name, body in BODIES.items():
            server.put(f"/{name}.tar.gz", body)
        yield server


@pytest.fixture
def distribution(tmp_path: Path, origin: Origin) -> Path:
    """Return a distribution in which app needs lib, and tool needs nothing."""
    directory = tmp_path / "distribution"
    directory.mkdir()
    for name, needs in (("lib", ""), ("app", "lib"), ("tool", "")):
        write(directory, name, f"{origin.url}/{name}.tar.gz", sha256(BODIES[name]), needs=needs)
    return directory
