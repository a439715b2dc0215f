"""Buckets of S3 and of Azure, and of servers that speak like them.

The environment has the names that these clouds' own libraries know, such as AWS_ACCESS_KEY_ID,
AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ENDPOINT_URL, AZURE_STORAGE_ACCOUNT_NAME, AZURE_FEDERATED_TOKEN_FILE.
https://developmentseed.org/obstore/latest/api/store/aws/, …/azure/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PreconditionError,
)
from obstore.store import AzureStore, S3Store

from dag.io import durable
from dag.io.store.buckets.objects import StoredObject, StoreError, check_key

if TYPE_CHECKING:
    from pathlib import Path

    from dag.core.limits import Limit
    from dag.core.store.buckets import Bucket

_HINT = "may the pod's service account, or the Secret of --bucket-secret, read and write there?"
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
"""The codes of S3 and of Azure, which obstore tells from other answers only in words.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes"""
_PIECE = 10 << 20


class CloudStore:
    """The objects of a bucket or a container, or of a folder in one."""

    def __init__(self, bucket: Bucket, environment: Mapping[str, str]) -> None:
        """Open a bucket, without asking it anything.

        Raises:
            StoreError: the settings are not enough.

        """
        self._where = str(bucket)
        with self._explained():
            self._store = _open(bucket, environment)

    def read(self, key: str, limit: Limit) -> StoredObject | None:
        """Return an object, or None if there is none."""
        with self._explained():
            try:
                found = obstore.get(self._store, check_key(key))
            except (FileNotFoundError, NotFoundError):
                return None
            limit.check(found.meta["size"], f"{self._where}/{key}")
            return StoredObject(bytes(found.bytes()), found.meta["e_tag"] or "")

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; return whether it was written."""
        with self._explained():
            try:
                obstore.put(self._store, check_key(key), data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Write an object if it is still of this version; return whether it was written."""
        with self._explained():
            try:
                obstore.put(
                    self._store,
                    check_key(key),
                    data,
                    mode={"e_tag": version},
                    use_multipart=False,
                )
            except (PreconditionError, AlreadyExistsError, FileNotFoundError, NotFoundError):
                return False
            return True

    def upload(self, key: str, path: Path) -> None:
        """Write an object from a file, whatever is there."""
        with self._explained():
            obstore.put(self._store, check_key(key), path)

    def download(self, key: str, path: Path, limit: Limit) -> bool:
        """Write an object to a new file; return whether there is such an object."""
        with self._explained():
            try:
                found = obstore.get(self._store, check_key(key))
            except (FileNotFoundError, NotFoundError):
                return False
            limit.check(found.meta["size"], f"{self._where}/{key}")
            with durable.replacing(path, lasting=False) as file:
                for piece in found.stream(min_chunk_size=_PIECE):
                    file.write(piece)
            return True

    def list(self, folder: str) -> Iterator[str]:
        """Return the keys of all objects below a folder, in any order."""
        with self._explained():
            try:
                for several in obstore.list(self._store, prefix=check_key(folder)):
                    for one in several:
                        yield one["path"]
            except BaseError as error:
                if not any(code in str(error) for code in _NO_BUCKET):
                    raise

    def delete(self, key: str) -> None:
        """Delete an object; there need not be one."""
        with self._explained():
            try:
                obstore.delete(self._store, check_key(key))
            except (FileNotFoundError, NotFoundError):
                return

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except BaseError as error:
            raise StoreError(f"{self._where}: {_first_line(error)}", hint=_HINT) from error
        except OSError as error:
            if error.errno is not None:  # of a file here
                raise
            # obstore raises Python's own errors, such as FileNotFoundError, for some answers.
            raise StoreError(f"{self._where}: {_first_line(error)}", hint=_HINT) from error


def _open(bucket: Bucket, environment: Mapping[str, str]) -> S3Store | AzureStore:
    if bucket.scheme == "s3":
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        plain = (endpoint or "").startswith("http://")
        return S3Store(
            bucket.name,
            prefix=bucket.folder or None,
            endpoint=endpoint,
            client_options={"allow_http": plain, "timeout": "120s"},
        )
    endpoint = environment.get("AZURE_STORAGE_ENDPOINT") or environment.get("AZURE_ENDPOINT")
    account = environment.get("AZURE_STORAGE_ACCOUNT_NAME") or environment.get(
        "AZURE_STORAGE_ACCOUNT"
    )
    if not account:
        raise StoreError(
            f"{bucket}: $AZURE_STORAGE_ACCOUNT_NAME does not say whose container that is",
            hint="put it into the Secret of --bucket-secret",
        )
    return AzureStore(
        bucket.name,
        prefix=bucket.folder or None,
        endpoint=endpoint,
        account_name=account,
        client_options={"allow_http": (endpoint or "").startswith("http://"), "timeout": "120s"},
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__
