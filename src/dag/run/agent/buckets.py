"""Opens the bucket of a pod, by the settings in the environment of its container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dag.core.store.buckets import Bucket
from dag.io.store.buckets.opening import open_bucket, use_settings
from dag.io.store.objects import Objects, StoreError
from dag.report.terminal import say

PACKAGES = "packages"


def open_with_settings(bucket: Bucket) -> Objects:
    """Open a bucket; settings by rclone's names are translated, and said.

    Raises:
        StoreError: the settings are not enough.

    """
    return open_bucket(bucket, use_settings(say))


def try_bucket(bucket: Bucket, probe: str | None) -> bool:
    """List a bucket, and write and delete the object `probe` in it if there is one to write.

    Returns whether there is anything in the bucket's folder of packages.

    Raises:
        StoreError: that does not go.

    """
    store = open_with_settings(bucket)
    with _named("it cannot be listed"):
        has_any = next(iter(store.list(PACKAGES)), None) is not None
    if probe is not None:
        with _named("nothing can be written"):
            store.create(f"{PACKAGES}/{probe}", b"dag doctor wrote this\n")
        with _named("nothing can be deleted"):
            store.delete(f"{PACKAGES}/{probe}")
    return has_any


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise StoreError(f"{what}: {error.message}", hint=error.hint) from error
