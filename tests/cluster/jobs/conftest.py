"""Distributions that are built as Jobs, and the volume claim that has their store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.bootstrap import bootstrap
from examples.layout import lay_out
from tests.support.cluster.claims import shared_claim
from tests.support.cluster.jobs import Jobs
from tests.support.cluster.running import Dag


@pytest.fixture
def jobs(dag: Dag, tmp_path: Path) -> Iterator[Jobs]:
    """Return builds of the example distribution, whose sources nobody serves.

    Their user may do what `dag setup cluster` permits, and no more.
    """
    bootstrap()
    permitted = dag("setup", "cluster", "--user=limited")
    assert permitted.returncode == 0, permitted.stderr
    with shared_claim(dag) as store:
        yield Jobs(dag, store, lay_out(tmp_path / "d"))
