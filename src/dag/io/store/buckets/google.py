"""Buckets of Google Cloud Storage.

The library reads the environment: an identity of the pod or the machine, a key file that
GOOGLE_APPLICATION_CREDENTIALS names, an emulator that STORAGE_EMULATOR_HOST names. A Secret of
Kubernetes brings no file, so GOOGLE_CREDENTIALS may hold the key itself.
https://cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import google.api_core.exceptions
import google.auth.exceptions
import google.cloud.storage.exceptions
import requests
import requests.adapters
from google.auth import identity_pool
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from google.oauth2 import service_account

from dag.io import durable
from dag.io.store.buckets.refusals import bucket_error, tries, unsettled
from dag.io.store.objects import (
    ObjectFacts,
    Objects,
    StoredObject,
    StoreError,
    check_key,
    is_key,
)

if TYPE_CHECKING:
    from dag.core.limits import Limit
    from dag.core.store.buckets import Bucket

T = TypeVar("T")

_TIMEOUT = 60.0
"""How many seconds a server may be silent."""
_RETRY = DEFAULT_RETRY.with_timeout(10)
"""Short, because whoever needs more patience tries again."""
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_RENEWED = "renewed"
"""The name in an object's metadata of the time when it was renewed."""


class GoogleStore(Objects):
    """The objects of a bucket, or of a folder in one."""

    at_once = 32
    no_version = "1"

    def __init__(self, bucket: Bucket, environment: Mapping[str, str]) -> None:
        """Open a bucket, without asking it anything.

        Raises:
            StoreError: there are no credentials, or they are none.

        """
        self._where = str(bucket)
        self._prefix = f"{bucket.folder}/" if bucket.folder else ""
        with self._explained():
            self._client = self._open(environment)
            self._bucket = self._client.bucket(bucket.name)

    def address(self, name: str) -> str:
        """Return the URL of an object."""
        return f"{self._where}/{name}"

    def read(self, name: str, limit: Limit) -> StoredObject | None:
        """Return an object, or None if there is none."""

        def take(blob: storage.Blob) -> StoredObject:
            data = blob.download_as_bytes(
                if_generation_match=blob.generation, timeout=_TIMEOUT, retry=_RETRY
            )
            return StoredObject(data, str(blob.generation))

        return self._take(name, limit, take)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one; return whether it was written."""
        return self._write(name, data, 0)

    def create_from(self, name: str, source: int, *, begin: int = 0) -> bool:
        """Write an object from an open file's bytes from `begin` on, unless there is one."""
        if self.look(name) is not None:  # before so many bytes go there in vain
            return False
        tail = _Tail(source, begin)
        with self._explained():
            try:
                self._blob(name).upload_from_file(
                    tail, size=tail.size, if_generation_match=0, timeout=_TIMEOUT, retry=_RETRY
                )
            except google.api_core.exceptions.PreconditionFailed:
                return False
            return True

    def replace(self, name: str, data: bytes, version: str) -> bool:
        """Write an object if it is still of this version; return whether it was written."""
        return self._write(name, data, int(version))

    def write(self, name: str, data: bytes) -> None:
        """Write an object, whatever is there."""
        self._write(name, data, None)

    def upload(self, name: str, path: Path) -> None:
        """Write an object from a file, whatever is there."""
        with self._explained():
            self._blob(name).upload_from_filename(str(path), timeout=_TIMEOUT, retry=_RETRY)

    def download(self, name: str, path: Path, limit: Limit) -> bool:
        """Write an object to a file; return whether there is such an object."""

        def take(blob: storage.Blob) -> bool:
            with durable.replacing(path, lasting=False) as file:
                blob.download_to_file(
                    file, if_generation_match=blob.generation, timeout=_TIMEOUT, retry=_RETRY
                )
            return True

        return self._take(name, limit, take) or False

    def list(self, folder: str) -> Iterator[ObjectFacts]:
        """Yield all objects below a folder, in any order; none if there is no bucket."""
        with self._explained():
            prefix = f"{self._name(folder)}/"
            try:
                for blob in self._client.list_blobs(
                    self._bucket, prefix=prefix, timeout=_TIMEOUT, retry=_RETRY
                ):
                    name = str(blob.name)[len(self._prefix) :]
                    if is_key(name):  # else it may be what a console shows as an empty folder
                        yield _facts(name, blob)
            except google.api_core.exceptions.NotFound:
                return

    def folders(self, folder: str) -> Iterator[str]:
        """Yield the names of the folders in a folder, each without what leads to it."""
        prefix = f"{self._name(folder)}/"
        with self._explained(), suppress(google.api_core.exceptions.NotFound):
            found = self._client.list_blobs(
                self._bucket, prefix=prefix, delimiter="/", timeout=_TIMEOUT, retry=_RETRY
            )
            for _ in found:  # the folders come with the pages of what is beside them
                pass
            yield from (one[len(prefix) :].rstrip("/") for one in found.prefixes)

    def look(self, name: str) -> ObjectFacts | None:
        """Return what is known of an object; None if there is none."""
        with self._explained():
            blob = self._get(name)
            return None if blob is None else _facts(name, blob)

    def renew(self, name: str) -> bool:
        """Let an object count as just written; return False if there is none."""
        with self._explained():
            blob = self._blob(name)
            blob.metadata = {_RENEWED: datetime.now(UTC).isoformat()}
            try:
                blob.patch(timeout=_TIMEOUT, retry=_RETRY)
            except google.api_core.exceptions.NotFound:
                return False
            return True

    def delete(self, name: str) -> None:
        """Delete an object; there need not be one."""
        with self._explained(), suppress(google.api_core.exceptions.NotFound):
            self._blob(name).delete(timeout=_TIMEOUT, retry=_RETRY)

    def delete_older(self, name: str, seconds: float) -> bool:
        """Delete an object unless it was written or renewed in so many seconds; return whether."""
        with self._explained():
            blob = self._get(name)
            if blob is None or _facts(name, blob).age <= seconds:
                return False
            try:
                blob.delete(
                    if_generation_match=blob.generation,
                    if_metageneration_match=blob.metageneration,
                    timeout=_TIMEOUT,
                    retry=_RETRY,
                )
            except (
                google.api_core.exceptions.NotFound,
                google.api_core.exceptions.PreconditionFailed,
            ):
                return False
            return True

    def _blob(self, name: str) -> storage.Blob:
        return self._bucket.blob(self._name(name))

    def _get(self, name: str) -> storage.Blob | None:
        return self._bucket.get_blob(self._name(name), timeout=_TIMEOUT, retry=_RETRY)

    def _take(self, name: str, limit: Limit, take: Callable[[storage.Blob], T]) -> T | None:
        """Return what `take` makes of an object, which is asked again if somebody wrote meanwhile."""
        for pause in tries():
            with self._explained():
                blob = self._get(name)
                if blob is None:
                    return None
                limit.check(int(blob.size or 0), self.address(name))
                with suppress(
                    google.api_core.exceptions.NotFound,
                    google.api_core.exceptions.PreconditionFailed,
                ):
                    return take(blob)
            time.sleep(pause)
        raise unsettled(self.address(name))

    def _write(self, name: str, data: bytes, generation: int | None) -> bool:
        with self._explained():
            try:
                self._blob(name).upload_from_string(
                    data,
                    content_type="application/octet-stream",
                    if_generation_match=generation,
                    timeout=_TIMEOUT,
                    retry=_RETRY,
                )
            except google.api_core.exceptions.PreconditionFailed:
                return False
            return True

    def _name(self, name: str) -> str:
        return f"{self._prefix}{check_key(name)}"

    def _open(self, environment: Mapping[str, str]) -> storage.Client:
        credentials = _external_account(environment.get("GOOGLE_APPLICATION_CREDENTIALS", ""))
        if text := environment.get("GOOGLE_CREDENTIALS", ""):
            make = service_account.Credentials.from_service_account_info
            try:
                credentials = make(json.loads(text))  # type: ignore[no-untyped-call]
            except ValueError as error:
                # The error's text may have a part of the key in it.
                raise StoreError(
                    f"{self._where}: $GOOGLE_CREDENTIALS is no key of a service account in JSON",
                    hint="its value is the whole text of the key's file",
                ) from error
        try:
            # Objects are of buckets, and only who makes a bucket needs a project.
            client = storage.Client(project=None, credentials=credentials)
        except ValueError as error:  # settings of the environment that contradict each other
            raise bucket_error(self._where, error) from error
        for scheme in ("https://", "http://"):
            adapter = requests.adapters.HTTPAdapter(pool_maxsize=self.at_once)
            client._http.mount(scheme, adapter)  # noqa: SLF001  # there is no other way to it
        return client

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (
            google.auth.exceptions.GoogleAuthError,
            google.api_core.exceptions.GoogleAPIError,
            google.cloud.storage.exceptions.DataCorruption,
            google.cloud.storage.exceptions.InvalidResponse,
            requests.RequestException,
        ) as error:
            raise bucket_error(self._where, error) from error


def _external_account(file: str) -> identity_pool.Credentials | None:
    """Return the account in a file for which a token stands, as in a Pod; None if it has another one.

    The library itself would ask one more service for a project, which nothing needs.
    """
    try:
        account = json.loads(Path(file).read_bytes()) if file else {}
    except (OSError, ValueError):  # the library tells what is wrong with it
        return None
    if not isinstance(account, dict) or account.get("type") != "external_account":
        return None
    source = account.get("credential_source")
    if not isinstance(source, dict) or "file" not in source:
        return None
    make = identity_pool.Credentials.from_info
    return make(account, scopes=_SCOPES)  # type: ignore[no-any-return, no-untyped-call]


class _Tail(io.RawIOBase):
    """An open file's bytes from some byte on."""

    def __init__(self, descriptor: int, begin: int) -> None:
        self._descriptor = descriptor
        self._begin = begin
        self._at = 0
        self.size = os.fstat(descriptor).st_size - begin

    def read(self, size: int | None = -1) -> bytes:
        most = self.size - self._at
        data = os.pread(
            self._descriptor, most if size is None or size < 0 else size, self._begin + self._at
        )
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}
        self._at = base[whence] + offset
        return self._at


def _facts(name: str, blob: storage.Blob) -> ObjectFacts:
    times = [then.timestamp() for then in (blob.updated, blob.time_created) if then is not None]
    with suppress(ValueError):  # somebody else may have written there
        renewed = datetime.fromisoformat((blob.metadata or {}).get(_RENEWED, ""))
        times.append(renewed.timestamp())
    return ObjectFacts(name, int(blob.size or 0), time.time() - max(times, default=time.time()))
