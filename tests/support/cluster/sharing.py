"""The test cluster that is up, or one that lives while any process of tests or benches uses it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from cluster import Cluster, ClusterError, lifecycle
from cluster.config import cache_directory, state_directory


@contextmanager
def holding(name: str, operation: int) -> Iterator[bool]:
    """Hold a lock, which all processes of this machine know; say whether it is held."""
    path = cache_directory() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, operation)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def shared_cluster() -> Iterator[Cluster]:
    """Have the cluster; one that was up before is left up."""
    begun = state_directory() / "started-by-tests"
    with holding("cluster-users.lock", fcntl.LOCK_SH):
        with holding("cluster-start.lock", fcntl.LOCK_EX):
            try:
                # It is left as it is, because another process may have stopped a node for its own
                # test.
                running = Cluster.current()
            except ClusterError:
                running = lifecycle.up()
                begun.touch()
        yield running
    with holding("cluster-users.lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as last:
        if last and begun.exists():
            lifecycle.down()
