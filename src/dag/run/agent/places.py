"""Opens the store of a Job: a directory on a volume, or a bucket by the settings in the environment."""

from __future__ import annotations

from pathlib import Path

from dag.core.arch import Arch
from dag.core.store.buckets import Bucket
from dag.io.store.local import Store
from dag.io.store.places import StorePlace, open_place
from dag.report.terminal import say


def open_agent_store(location: str, arch: Arch, scratch: Path) -> Store:
    """Return the store of one architecture at a path or a URL; raises as `open_agent_place`."""
    return open_agent_place(location, scratch).store(arch)


def open_agent_place(location: str, scratch: Path) -> StorePlace:
    """Return the store at a path or a URL; what is only needed here goes to `scratch`.

    Raises:
        UsageError: this names no bucket.
        StoreError: the settings are not enough.

    """
    place = Bucket.parse(location) if "://" in location else Path(location)
    return open_place(place, say, scratch)
