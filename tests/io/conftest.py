"""A cache, and servers for it: of files, of git repositories, and a real registry behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dag.io.sources.cache import Cache
from tests.support.faults import FaultProxy
from tests.support.gitserver import GitServer
from tests.support.registries import Server, registry


@pytest.fixture
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide this machine's credentials and caches, and return the place of Docker's configuration."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "docker" / "config.json"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a registry that accepts everybody."""
    with registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def proxy(running: Server) -> Iterator[FaultProxy]:
    """Put a proxy before that registry, which counts every byte."""
    with FaultProxy(f"http://{running.host}") as between:
        yield between


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Return an empty cache."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    """Run a server of the git repositories that a test publishes."""
    with GitServer(tmp_path / "git") as server:
        yield server
