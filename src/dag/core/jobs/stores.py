"""Stores that agents on all nodes reach: volume claims and buckets."""

from __future__ import annotations

from dag.core.jobs.claims import SCHEME, Claim
from dag.core.store.buckets import Bucket
from dag.errors import UsageError


def cluster_store(store: str | None) -> Claim | Bucket:
    """Return the store that `--store` names.

    Raises:
        UsageError: it is none that all nodes reach.

    """
    if store is None or "://" not in store:
        another = f", and --store names {store!r}" if store else ""
        raise UsageError(
            f"a build in a cluster needs a store that all nodes reach{another}",
            hint="name a volume claim, like --store pvc://CLAIM, or a bucket: gs://, s3://, az://",
        )
    return Claim.parse(store) if store.startswith(SCHEME) else Bucket.parse(store)


def store_on_cluster(store: str | None, bucket_secret: str | None) -> Claim | Bucket:
    """Return the store that agents use, from `--store` and `--bucket-secret`.

    Raises:
        UsageError: it is none that all nodes reach, or a Secret is missing.

    """
    found = cluster_store(store)
    if isinstance(found, Bucket) and found.scheme == "az" and not bucket_secret:
        raise UsageError(
            f"--store {found} needs --bucket-secret: nothing else says whose it is",
            hint="its entries are AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        )
    return found
