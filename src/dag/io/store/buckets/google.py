"""Buckets of Google Cloud Storage.

The library reads the environment: an identity of the pod or the machine, a key file that
GOOGLE_APPLICATION_CREDENTIALS names, an emulator that STORAGE_EMULATOR_HOST names. A Secret of
Kubernetes brings no file, so GOOGLE_CREDENTIALS may hold the key itself.
https://cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import google.api_core.exceptions
import google.auth.exceptions
import requests
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from google.oauth2 import service_account

from dag.io.store.buckets.objects import StoredObject, StoreError, check_key

if TYPE_CHECKING:
    from pathlib import Path

    from dag.core.limits import Limit
    from dag.core.store.buckets import Bucket

_TIMEOUT = 60.0
"""How many seconds a server may be silent."""
_RETRY = DEFAULT_RETRY.with_timeout(120)
_HINT = "may the pod's service account, or the Secret of --bucket-secret, read and write there?"


class GoogleStore:
    """The objects of a bucket, or of a folder in one."""

    def __init__(self, bucket: Bucket, environment: Mapping[str, str]) -> None:
        """Open a bucket, without asking it anything.

        Raises:
            StoreError: there are no credentials, or they are none.

        """
        self._where = str(bucket)
        self._prefix = f"{bucket.folder}/" if bucket.folder else ""
        with self._explained():
            self._client = _client(environment)
            self._bucket = self._client.bucket(bucket.name)

    def read(self, key: str, limit: Limit) -> StoredObject | None:
        """Return an object, or None if there is none."""
        while True:
            with self._explained():
                blob = self._bucket.get_blob(self._name(key), timeout=_TIMEOUT, retry=_RETRY)
                if blob is None:
                    return None
                limit.check(int(blob.size or 0), f"{self._where}/{key}")
                try:
                    data = blob.download_as_bytes(
                        if_generation_match=blob.generation, timeout=_TIMEOUT, retry=_RETRY
                    )
                except (
                    google.api_core.exceptions.NotFound,
                    google.api_core.exceptions.PreconditionFailed,
                ):
                    continue  # somebody wrote meanwhile
                return StoredObject(data, str(blob.generation))

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; return whether it was written."""
        return self._write(key, data, 0)

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Write an object if it is still of this version; return whether it was written."""
        return self._write(key, data, int(version))

    def upload(self, key: str, path: Path) -> None:
        """Write an object from a file, whatever is there."""
        with self._explained():
            blob = self._bucket.blob(self._name(key))
            blob.upload_from_filename(str(path), timeout=_TIMEOUT, retry=_RETRY)

    def download(self, key: str, path: Path, limit: Limit) -> bool:
        """Write an object to a new file; return whether there is such an object."""
        with self._explained():
            blob = self._bucket.get_blob(self._name(key), timeout=_TIMEOUT, retry=_RETRY)
            if blob is None:
                return False
            limit.check(int(blob.size or 0), f"{self._where}/{key}")
            blob.download_to_filename(str(path), timeout=_TIMEOUT, retry=_RETRY)
            return True

    def list(self, folder: str) -> Iterator[str]:
        """Return the keys of all objects below a folder, in any order."""
        with self._explained():
            prefix = f"{self._name(folder)}/"
            try:
                for blob in self._client.list_blobs(
                    self._bucket, prefix=prefix, timeout=_TIMEOUT, retry=_RETRY
                ):
                    yield str(blob.name)[len(self._prefix) :]
            except google.api_core.exceptions.NotFound:
                return

    def delete(self, key: str) -> None:
        """Delete an object; there need not be one."""
        with self._explained():
            try:
                self._bucket.blob(self._name(key)).delete(timeout=_TIMEOUT, retry=_RETRY)
            except google.api_core.exceptions.NotFound:
                return

    def _write(self, key: str, data: bytes, generation: int) -> bool:
        with self._explained():
            try:
                self._bucket.blob(self._name(key)).upload_from_string(
                    data,
                    content_type="application/octet-stream",
                    if_generation_match=generation,
                    timeout=_TIMEOUT,
                    retry=_RETRY,
                )
            except google.api_core.exceptions.PreconditionFailed:
                return False
            return True

    def _name(self, key: str) -> str:
        return f"{self._prefix}{check_key(key)}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except google.auth.exceptions.GoogleAuthError as error:
            raise StoreError(f"{self._where}: {_first_line(error)}", hint=_HINT) from error
        except google.api_core.exceptions.GoogleAPIError as error:
            raise StoreError(f"{self._where}: {_first_line(error)}", hint=_HINT) from error
        except requests.RequestException as error:
            raise StoreError(f"{self._where} cannot be reached: {_first_line(error)}") from error


def _client(environment: Mapping[str, str]) -> storage.Client:
    text = environment.get("GOOGLE_CREDENTIALS", "")
    if not text:
        return storage.Client()
    try:
        make = service_account.Credentials.from_service_account_info
        credentials = make(json.loads(text))  # type: ignore[no-untyped-call]
    except ValueError as error:
        # The error's text may have a part of the key in it.
        raise StoreError("$GOOGLE_CREDENTIALS is no key of a service account in JSON") from error
    return storage.Client(project=credentials.project_id, credentials=credentials)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__
