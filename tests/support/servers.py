"""Fixtures that many tests have in common: a server that fails as a test wants, and who asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.faults import Origin

if TYPE_CHECKING:
    from dag.io.kube.api import Kube


@pytest.fixture
def origin() -> Iterator[Origin]:
    """Run a server that has nothing yet."""
    with Origin() as server:
        yield server


@pytest.fixture
async def kube(origin: Origin, tmp_path: Path) -> AsyncIterator[Kube]:
    """Return a client for which that server is the Kubernetes API."""
    from dag.io.kube.api import Kube
    from dag.io.kube.kubeconfig import connect
    from tests.support.kubeconfigs import kubeconfig

    made = Kube(connect(kubeconfig(tmp_path / "config", origin.url)), lambda _: None)
    yield made
    await made.close()
