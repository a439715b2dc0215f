"""Buckets of S3 and of Azure, and of servers that speak like them.

The environment has the names that these clouds' own libraries know, such as AWS_ACCESS_KEY_ID,
AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ENDPOINT_URL, AZURE_STORAGE_ACCOUNT_NAME, AZURE_FEDERATED_TOKEN_FILE.
https://developmentseed.org/obstore/latest/api/store/aws/, …/azure/
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PreconditionError,
)
from obstore.store import AzureStore, S3Store

from dag.core.limits import BUILT_PACKAGE
from dag.io import durable
from dag.io.store.buckets.refusals import bucket_error, tries, unsettled
from dag.io.store.objects import ObjectFacts, Objects, StoredObject, StoreError, check_key

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import RetryConfig

    from dag.core.limits import Limit
    from dag.core.store.buckets import Bucket

_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
"""The codes of S3 and of Azure, which obstore tells from other answers only in words.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes"""
_RETRY: RetryConfig = {"retry_timeout": timedelta(seconds=10)}
"""Short, because whoever needs more patience tries again."""
_PIECE = 10 << 20
_LARGE = 64 << 20
"""Bytes up to which an object is written at once, from memory."""


class CloudStore(Objects):
    """The objects of a bucket or a container, or of a folder in one."""

    at_once = 32
    no_version = '"00000000000000000000000000000000"'

    def __init__(self, bucket: Bucket, environment: Mapping[str, str]) -> None:
        """Open a bucket, without asking it anything.

        Raises:
            StoreError: the settings are not enough.

        """
        self._where = str(bucket)
        with self._explained():
            self._store = _open(bucket, environment)

    def address(self, name: str) -> str:
        """Return the URL of an object."""
        return f"{self._where}/{name}"

    def read(self, name: str, limit: Limit) -> StoredObject | None:
        """Return an object, or None if there is none."""
        with self._explained():
            try:
                found = obstore.get(self._store, check_key(name))
            except (FileNotFoundError, NotFoundError):
                return None
            limit.check(found.meta["size"], self.address(name))
            return StoredObject(bytes(found.bytes()), found.meta["e_tag"] or "")

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one; return whether it was written."""
        for pause in tries():
            with self._explained():
                try:
                    obstore.put(
                        self._store, check_key(name), data, mode="create", use_multipart=False
                    )
                except (AlreadyExistsError, PreconditionError):
                    pass
                else:
                    return True
            # S3 also refuses where a deletion or another write is just under way, of which it is not
            # known yet whether anything comes.
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
            if self.look(name) is not None:
                return False
            time.sleep(pause)
        raise unsettled(self.address(name))

    def create_from(self, name: str, source: int, *, begin: int = 0) -> bool:
        """Write an object from an open file's bytes from `begin` on, unless there is one.

        A large one is written in parts, which obstore does without a condition. So two writers may
        both write it: such names must be of what is in them.
        """
        size = os.fstat(source).st_size - begin
        if size <= _LARGE:
            return self.create(name, os.pread(source, size, begin))
        if self.look(name) is not None:
            return False
        with self._explained(), os.fdopen(os.dup(source), "rb") as file:
            file.seek(begin)
            obstore.put(self._store, check_key(name), iter(lambda: file.read(_PIECE), b""))
        return True

    def replace(self, name: str, data: bytes, version: str) -> bool:
        """Write an object if it is still of this version; return whether it was written."""
        with self._explained():
            try:
                obstore.put(
                    self._store,
                    check_key(name),
                    data,
                    mode={"e_tag": version},
                    use_multipart=False,
                )
            except (PreconditionError, AlreadyExistsError, FileNotFoundError, NotFoundError):
                return False
            return True

    def write(self, name: str, data: bytes) -> None:
        """Write an object, whatever is there."""
        with self._explained():
            obstore.put(self._store, check_key(name), data)

    def upload(self, name: str, path: Path) -> None:
        """Write an object from a file, whatever is there."""
        with self._explained():
            obstore.put(self._store, check_key(name), path)

    def download(self, name: str, path: Path, limit: Limit) -> bool:
        """Write an object to a file; return whether there is such an object."""
        with self._explained():
            try:
                found = obstore.get(self._store, check_key(name))
            except (FileNotFoundError, NotFoundError):
                return False
            limit.check(found.meta["size"], self.address(name))
            with durable.replacing(path, lasting=False) as file:
                for piece in found.stream(min_chunk_size=_PIECE):
                    file.write(piece)
            return True

    def list(self, folder: str) -> Iterator[ObjectFacts]:
        """Yield all objects below a folder, in any order; none if there is no bucket."""
        with self._explained():
            try:
                for several in obstore.list(self._store, prefix=check_key(folder)):
                    # A console may have made the folder itself, as an object whose name ends with "/".
                    yield from (_facts(one) for one in several if one["path"] != folder)
            except BaseError as error:
                if not any(code in str(error) for code in _NO_BUCKET):
                    raise

    def folders(self, folder: str) -> Iterator[str]:
        """Yield the names of the folders in a folder, each without what leads to it."""
        with self._explained():
            found = obstore.list_with_delimiter(self._store, prefix=check_key(folder))
            yield from (one.rstrip("/").rpartition("/")[2] for one in found["common_prefixes"])

    def look(self, name: str) -> ObjectFacts | None:
        """Return what is known of an object; None if there is none."""
        with self._explained():
            try:
                return _facts(obstore.head(self._store, check_key(name)))
            except (FileNotFoundError, NotFoundError):
                return None

    def renew(self, name: str) -> bool:
        """Let an object count as just written; return False if there is none.

        Nothing but a write changes its time, so it is read and written again.
        """
        with tempfile.TemporaryDirectory(prefix="dag-") as place:
            copy = Path(place, "object")
            if not self.download(name, copy, BUILT_PACKAGE):
                return False
            self.upload(name, copy)
        return True

    def delete(self, name: str) -> None:
        """Delete an object; there need not be one."""
        with self._explained(), suppress(FileNotFoundError, NotFoundError):
            obstore.delete(self._store, check_key(name))

    def delete_older(self, name: str, seconds: float) -> bool:
        """Delete an object unless it was written or renewed in so many seconds; return whether.

        obstore knows no condition for that. Who renews it in the instant between the look and the
        deletion loses it: a record whose blob is gone counts for nothing, and its unit is built.
        """
        found = self.look(name)
        if found is None or found.age <= seconds:
            return False
        self.delete(name)
        return True

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except BaseError as error:
            raise bucket_error(self._where, error) from error
        except OSError as error:
            if error.errno is not None:  # of a file here
                raise
            # obstore raises Python's own errors, such as FileNotFoundError, for some answers.
            raise bucket_error(self._where, error) from error


def _open(bucket: Bucket, environment: Mapping[str, str]) -> S3Store | AzureStore:
    if bucket.scheme == "s3":
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        plain = (endpoint or "").startswith("http://")
        return S3Store(
            bucket.name,
            prefix=bucket.folder or None,
            endpoint=endpoint,
            client_options={"allow_http": plain, "timeout": "120s"},
            retry_config=_RETRY,
        )
    endpoint = environment.get("AZURE_STORAGE_ENDPOINT") or environment.get("AZURE_ENDPOINT")
    account = environment.get("AZURE_STORAGE_ACCOUNT_NAME") or environment.get(
        "AZURE_STORAGE_ACCOUNT"
    )
    if not account:
        raise StoreError(
            f"{bucket}: $AZURE_STORAGE_ACCOUNT_NAME does not say whose container that is",
            hint="set it; for pods, put it into the Secret of --bucket-secret",
        )
    return AzureStore(
        bucket.name,
        prefix=bucket.folder or None,
        endpoint=endpoint,
        account_name=account,
        client_options={"allow_http": (endpoint or "").startswith("http://"), "timeout": "120s"},
        retry_config=_RETRY,
    )


def _facts(meta: ObjectMeta) -> ObjectFacts:
    return ObjectFacts(meta["path"], meta["size"], time.time() - meta["last_modified"].timestamp())
