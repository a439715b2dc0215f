"""The cache of a distribution as an image that the nodes can pull."""

from __future__ import annotations

from pathlib import Path

from examples.sources import SourceServer
from tests.support.cluster.running import Dag


def push_cache(dag: Dag, directory: Path, server: SourceServer) -> str:
    """Push the cache of a distribution, and forget the requests that the server got for that."""
    repository = f"{dag.cluster.registry}/{dag.namespace}-cache"
    base = ["--bundle-base", dag.cluster.base_image, "--bundle-repo", repository]
    done = dag("cache", "-d", directory, "-o", directory.parent / "cache", *base)
    assert done.returncode == 0, done.stderr
    assert server.requests.total() > 0
    server.requests.clear()
    reference = done.stdout.strip()
    assert reference.startswith(f"{repository}@sha256:")
    return reference
