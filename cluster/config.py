"""Every name, number and place that the parts of the cluster have to agree on."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
"""The package's own folder: the Go modules and manifests lie beside the code."""


def cache_directory() -> Path:
    """Where what was built is kept between runs, shared by all checkouts of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dag"


def state_directory() -> Path:
    """Where a running cluster keeps its disks, logs, pids and kubeconfigs; `down` removes it."""
    return Path(os.environ.get("DAG_CLUSTER_DIR") or cache_directory() / "cluster")
