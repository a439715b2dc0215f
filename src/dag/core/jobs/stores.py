"""Stores that agents on all nodes reach: volume claims and buckets."""

from __future__ import annotations

from dag.core.jobs.claims import SCHEME, Claim
from dag.core.store.buckets import Bucket
from dag.errors import UsageError


def store_on_cluster(store: str | None, bucket_secret: str | None) -> Claim | Bucket:
    """Return the store of a build as Jobs, from `--store` and `--bucket-secret`.

    Raises:
        UsageError: it is none that all nodes reach.

    """
    hint = "name a volume claim, like --store pvc://CLAIM, or a bucket: gs://, s3://, az://"
    if store is None or "://" not in store:
        raise UsageError("--on kubernetes needs a store that all nodes reach", hint=hint)
    if store.startswith(SCHEME):
        return Claim.parse(store)
    bucket = Bucket.parse(store)
    if bucket.scheme == "az" and not bucket_secret:
        raise UsageError(
            f"--store {bucket} needs --bucket-secret: nothing else says whose it is",
            hint="its entries are AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        )
    return bucket
