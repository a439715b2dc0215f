"""A volume claim that both nodes mount, and what lies there as this machine sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.claims import make_claim, remove_claim
from tests.support.cluster.running import Dag

_NAME = "store"


@contextmanager
def shared_claim(dag: Dag) -> Iterator[Path]:
    """Make a claim in the namespace of `dag`, and return the directory that it is."""
    try:
        yield make_claim(dag.cluster, dag.namespace, _NAME)
    finally:
        remove_claim(dag.cluster, dag.namespace, _NAME)
