"""The real Kubernetes of `cluster/`, and `dag` as a user runs it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster import Cluster, ClusterError
from cluster.cluster import down

CHECKOUT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests that share the cluster in one process, which also takes it down."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("cluster"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One that is up, else one that lives as long as the tests."""
    try:
        running = Cluster.current()
    except ClusterError:
        yield Cluster.up()
        down()
    else:
        yield running


@dataclass(frozen=True)
class Dag:
    """`dag` in a namespace of its own, with a clean environment."""

    cluster: Cluster
    namespace: str

    def __call__(
        self, *words: str | Path, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dag", *map(str, words)],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def pod(self, directory: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return self("pod", "--dir", directory, *words)

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "PYTHONPATH": str(CHECKOUT / "src"),
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "REPO": f"{self.cluster.registry}/test",
            "DAG_BUNDLE_BASE": f"{self.cluster.registry}/base:1",
            "DAG_SDK_IMAGE": f"{self.cluster.registry}/sdk:1",
            "DAG_NAMESPACE": self.namespace,
            "DAG_CPU": "100m",
            "DAG_RAM": "128Mi",
            "DAG_DISK": "64Mi",
            "DAG_DEBUG": "1",
        }

    def kubectl(self, *words: str) -> str:
        return subprocess.run(
            [
                self.cluster.kubectl,
                f"--kubeconfig={self.cluster.kubeconfig}",
                f"--namespace={self.namespace}",
                *words,
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout

    def pods(self) -> list[str]:
        return self.kubectl("get", "pods", "-o", "name").split()


@pytest.fixture
def dag(cluster: Cluster) -> Iterator[Dag]:
    """Run `dag` against the cluster; the namespace goes with the test."""
    runner = Dag(cluster, f"test-{secrets.token_hex(4)}")
    runner.kubectl("create", "namespace", runner.namespace)
    yield runner
    runner.kubectl("delete", "namespace", runner.namespace, "--wait=false")
