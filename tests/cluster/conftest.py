"""The real Kubernetes of `cluster/`: one for all tests, with a namespace for each test."""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster import Cluster, ClusterError, kwok, lifecycle
from cluster.config import cache_directory, state_directory
from tests.support.cluster.running import Dag


@contextmanager
def _holding(name: str, operation: int) -> Iterator[bool]:
    path = cache_directory() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, operation)
        except BlockingIOError:
            yield False
        else:
            yield True


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return the cluster that is up, or one that lives while any process runs tests on it."""
    begun = state_directory() / "started-by-tests"
    with _holding("cluster-users.lock", fcntl.LOCK_SH):
        with _holding("cluster-start.lock", fcntl.LOCK_EX):
            try:
                # It is left as it is, because another process may have stopped a node for its own
                # test.
                running = Cluster.current()
            except ClusterError:
                running = lifecycle.up()
                begun.touch()
        yield running
    with _holding("cluster-users.lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as last:
        if last and begun.exists():
            lifecycle.down()


@pytest.fixture(autouse=True)
def _turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Share the cluster with other processes, or have it alone if the test asks for `alone`."""
    mode = fcntl.LOCK_EX if "alone" in request.fixturenames else fcntl.LOCK_SH
    path = cache_directory() / "cluster-turn.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        # Who waits to be alone holds the queue, so that no others overtake it for ever.
        with _holding("cluster-queue.lock", fcntl.LOCK_EX):
            fcntl.flock(file, mode)
        yield


@pytest.fixture
def alone() -> None:
    """Have the whole cluster alone, because the test stops a node or the API server."""


@pytest.fixture
def simulated(cluster: Cluster) -> Iterator[Cluster]:
    """Have all simulated nodes: `kwok.up` makes some, and they are removed after the test."""
    with _holding("cluster-kwok.lock", fcntl.LOCK_EX):
        yield cluster
        kwok.down(cluster)


@pytest.fixture
def dag(cluster: Cluster, tmp_path: Path) -> Iterator[Dag]:
    """Return a runner of `dag` on the cluster, whose namespace is deleted after the test."""
    runner = Dag(cluster, f"test-{secrets.token_hex(4)}", tmp_path / "runs")
    runner.kubectl("create", "namespace", runner.namespace)
    runner.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
    yield runner
    for running in runner.started:
        running.stop()
    runner.kubectl("delete", "namespace", runner.namespace, "--wait=false")
