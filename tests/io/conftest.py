"""A real registry for every test that needs one, and a proxy before it that counts and breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import FaultProxy
from tests.registries import Server, registry


@pytest.fixture
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep this machine's credentials and caches out; where Docker's configuration would be."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "docker" / "config.json"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry that lets everybody in."""
    with registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def proxy(running: Server) -> Iterator[FaultProxy]:
    """The same registry, every byte counted."""
    with FaultProxy(f"http://{running.host}") as between:
        yield between
