"""Brings packages from a bucket into the workspace before the build."""

from __future__ import annotations

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dag.core.limits import BUILT_PACKAGE
from dag.core.store.buckets import Bucket
from dag.report.terminal import say
from dag.run.agent.buckets import PACKAGES, open_with_settings

_AT_ONCE = 16


def fetch(bucket: Bucket, arch: str, wanted: Collection[str], workspace: Path) -> None:
    """Bring those of the files `wanted` that the bucket has.

    Raises:
        StoreError: the bucket cannot be read.
        OSError: a file cannot be written.

    """
    os.umask(0o022)
    store = open_with_settings(bucket)
    place = f"{PACKAGES}/{arch}"
    there = {name.removeprefix(f"{place}/") for name in store.names(place)}
    found = sorted(there.intersection(wanted))
    say(f"{len(found)} of {len(wanted)} packages are in {bucket}/{place}")
    if not found:
        return
    target = workspace / place
    target.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(
            lambda name: store.download(f"{place}/{name}", target / name, BUILT_PACKAGE), found
        ):
            pass
