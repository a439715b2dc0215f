"""Builds of real distributions on the test cluster: what they have in common, however they build."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster import Cluster, ClusterError, lifecycle
from examples.sources import ADDRESS
from tests.real.distribution import Distribution
from tests.support.cluster.running import Dag, Done
from tests.torture.kills import environment

SECONDS = 3600.0
"""How long a whole build may take."""


def settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a client, with the variables that lead to the stand-in."""
    epoch = environment()["SOURCE_DATE_EPOCH"]
    return {**variables, "NO_PROXY": f"127.0.0.1,{ADDRESS}", "SOURCE_DATE_EPOCH": epoch}


def push_cache(dag: Dag, distribution: Distribution, place: Path) -> str:
    """Push the sources of the distribution as an image, and return its reference."""
    directory = place / "definitions"
    directory.mkdir(parents=True)
    for name in distribution.names:  # `dag cache` would fetch also for what is not built
        shutil.copy(distribution.directory / f"{name}.yaml", directory)
    repository = f"{dag.repository}-cache"
    base = ("--bundle-base", dag.cluster.base_image, "--bundle-repo", repository)
    cache = distribution.directory / "cache"
    return require(dag("cache", "-d", directory, "-o", cache, *base), "dag cache").strip()


def require(done: Done, what: str) -> str:
    if done.returncode:
        raise ClusterError(f"{what} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout


@contextmanager
def on_cluster(place: Path) -> Iterator[Dag]:
    """Give a runner of `dag` on the cluster that is up, or on one that is up only meanwhile."""
    try:
        cluster, is_ours = Cluster.current(), False
    except ClusterError:
        cluster, is_ours = lifecycle.up(), True
    try:
        dag = Dag(cluster, f"real-{secrets.token_hex(4)}", place / "runs")
        dag.kubectl("create", "namespace", dag.namespace)
        dag.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        try:
            yield dag
        finally:
            for running in dag.started:
                running.stop()
            dag.kubectl("delete", "namespace", dag.namespace, "--wait=false")
    finally:
        if is_ours:
            lifecycle.down()
