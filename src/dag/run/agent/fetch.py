"""Brings packages from a bucket into the workspace before the build."""

from __future__ import annotations

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from dag.core.limits import BUILT_PACKAGE
from dag.core.store.buckets import Bucket
from dag.io.store.objects import insist
from dag.report.terminal import say
from dag.report.words import some
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
    names = insist(lambda: list(store.names(place)))
    there = {name.removeprefix(f"{place}/") for name in names}
    found = sorted(there.intersection(wanted))
    say(f"{len(found)} of {len(wanted)} packages are in {bucket}/{place}")
    if not found:
        return
    target = workspace / place
    target.mkdir(parents=True, exist_ok=True)

    def bring(name: str) -> bool:
        download = partial(store.download, f"{place}/{name}", target / name, BUILT_PACKAGE)
        return insist(download)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        gone = [
            name for name, is_here in zip(found, pool.map(bring, found), strict=True) if not is_here
        ]
    if gone:
        say(f"listed in the bucket and not there, so they are built: {some(gone)}")
