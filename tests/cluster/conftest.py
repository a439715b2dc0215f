"""The real Kubernetes of `cluster/`: one for all tests, with a namespace for each test."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cluster import Cluster, emulation, kueue, kwok, policies, secret_store
from cluster.config import cache_directory
from cluster.system import run
from tests.support.cluster.running import Dag
from tests.support.cluster.sharing import holding, shared_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return the cluster that is up, or one that lives while any process runs tests on it."""
    with shared_cluster() as running:
        yield running


_TIMER: pytest.StashKey[object] = pytest.StashKey()


def pytest_timeout_set_timer(item: pytest.Item, settings: object) -> None:
    """Keep how long a test may take, for when it no longer waits for others."""
    item.stash[_TIMER] = settings


@contextmanager
def _untimed(item: pytest.Item) -> Iterator[None]:
    """Wait for other tests: that is no part of the time that this one may take."""
    hook = item.config.pluginmanager.hook
    hook.pytest_timeout_cancel_timer(item=item)
    try:
        yield
    finally:
        if _TIMER in item.stash:  # else it may take as long as it likes
            hook.pytest_timeout_set_timer(item=item, settings=item.stash[_TIMER])


_ALONE = ExitStack()
"""The lock of a process whose tests have the cluster alone, from the first of them to the last."""
_HAS_IT_ALONE = pytest.StashKey[bool]()
_IS_LAST = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def _turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Share the cluster with other processes, or have it alone if the test asks for `alone`."""
    if "alone" not in request.fixturenames:
        with ExitStack() as turn:
            with _untimed(request.node):
                turn.enter_context(_lock_turn(fcntl.LOCK_SH))
            yield
        return
    grouped = request.node.nodeid.endswith("@alone") or "PYTEST_XDIST_WORKER" not in os.environ
    assert grouped, "tests that have the cluster alone are in several processes"
    # Taken for all of them at once: to drain the cluster of others' tests takes half a minute.
    if not request.config.stash.get(_HAS_IT_ALONE, False):
        with _untimed(request.node):
            _ALONE.enter_context(_lock_turn(fcntl.LOCK_EX))
        request.config.stash[_HAS_IT_ALONE] = True
    yield
    if request.node.stash[_IS_LAST]:
        # Others get it in order: a node or the API server may have started again a moment ago.
        Cluster.current().wait_until_ready()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Take note whether a further test of this process wants the cluster alone."""
    item.stash[_IS_LAST] = nextitem is None or "alone" not in getattr(nextitem, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Let others have the cluster when no further test of this process wants it alone."""
    if item.stash[_IS_LAST]:
        _ALONE.close()
        item.config.stash[_HAS_IT_ALONE] = False


@contextmanager
def _lock_turn(mode: int) -> Iterator[None]:
    path = cache_directory() / "cluster-turn.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        # Who waits to be alone holds the queue, so that no others overtake it for ever.
        with holding("cluster-queue.lock", fcntl.LOCK_EX):
            fcntl.flock(file, mode)
        yield


@pytest.fixture
def alone() -> None:
    """Have the whole cluster alone, because the test stops a node or the API server."""


@pytest.fixture
def arm_node(cluster: Cluster, alone: None) -> Iterator[Cluster]:
    """Return the cluster while its node-b says that it is arm64, and the machine runs such programs."""
    try:
        emulation.up("aarch64")
        emulation.disguise(cluster, "node-b", "arm64")
        yield cluster
    finally:
        emulation.reveal(cluster, "node-b")
        emulation.down()


@pytest.fixture
def simulated(cluster: Cluster) -> Iterator[Cluster]:
    """Have all simulated nodes: `kwok.up` makes some, and they are removed after the test."""
    with holding("cluster-kwok.lock", fcntl.LOCK_EX):
        yield cluster
        kwok.down(cluster)


@pytest.fixture
def no_emulation(simulated: Cluster) -> Iterator[None]:
    """Have the machine run only its own programs before and after the test, which alone changes that.

    No simulated node is there, on which a DaemonSet would count as well.
    """
    with holding("cluster-emulation.lock", fcntl.LOCK_EX):
        emulation.down()
        yield
        emulation.up()  # older kernels keep what pods registered; it is seen after a mount
        emulation.down()


@pytest.fixture
def secret_driver(simulated: Cluster) -> Iterator[None]:
    """Have the driver for secrets on every node, and no provider for it but what the test makes.

    No simulated node is there, on which a DaemonSet would count as well.
    """
    with holding("cluster-secrets.lock", fcntl.LOCK_EX):
        secret_store.up(simulated)
        yield


@pytest.fixture
def queues(dag: Dag) -> Iterator[Dag]:
    """Have Kueue, for the namespace of `dag` alone; its kinds are gone after the test."""
    with holding("cluster-kueue.lock", fcntl.LOCK_EX):
        try:
            kueue.up(dag.cluster)
            dag.kubectl("label", "namespace", dag.namespace, f"{kueue.LABEL}=true")
            yield dag
        finally:
            kueue.down(dag.cluster)


@pytest.fixture
def enforced(cluster: Cluster) -> Iterator[None]:
    """Have NetworkPolicies enforced on both nodes; the machine's network is as before after the test."""
    rules = ("iptables", "--wait", "--table=mangle", "--list-rules")
    with holding("cluster-policies.lock", fcntl.LOCK_EX):
        policies.down()  # left by a run that was killed
        before = run(*rules)
        try:
            policies.up(cluster)
            yield
        finally:
            policies.down()
        assert run(*rules) == before


@pytest.fixture
def no_queues(cluster: Cluster) -> Iterator[None]:
    """Have a cluster without Kueue, which would be there for all tests while one has it."""
    with holding("cluster-kueue.lock", fcntl.LOCK_EX):
        kueue.down(cluster)  # left by a run that was killed
        yield


@pytest.fixture
def dag(cluster: Cluster, tmp_path: Path) -> Iterator[Dag]:
    """Return a runner of `dag` on the cluster, whose namespace is deleted after the test."""
    runner = Dag(cluster, f"test-{secrets.token_hex(4)}", tmp_path / "runs")
    runner.kubectl("create", "namespace", runner.namespace)
    runner.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=240s")
    yield runner
    for running in runner.started:
        running.stop()
    runner.kubectl("delete", "namespace", runner.namespace, "--wait=false")
