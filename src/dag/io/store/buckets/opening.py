"""Opens a bucket by its URL; the libraries of the clouds take long to import, so only the one needed is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dag.core.store.buckets import Bucket
    from dag.io.store.buckets.objects import ObjectStore


def open_bucket(bucket: Bucket, environment: Mapping[str, str]) -> ObjectStore:
    """Return the store that a bucket's URL names, with the clouds' own settings.

    Raises:
        StoreError: the settings are not enough.

    """
    if bucket.scheme == "gs":
        from dag.io.store.buckets.google import GoogleStore

        return GoogleStore(bucket, environment)
    from dag.io.store.buckets.clouds import CloudStore

    return CloudStore(bucket, environment)
