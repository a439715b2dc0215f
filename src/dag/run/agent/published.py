"""Serves what a store publishes to the client of `--out`, which cannot reach the store itself."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from dag.core.limits import BUILT_PACKAGE, PACKAGE_INDEX, PUBLIC_KEY
from dag.core.package.apkindex import INDEX_FILE
from dag.core.store.layout import blob_name
from dag.errors import InfrastructureError
from dag.io.store.local import Store
from dag.report.terminal import say
from dag.run.agent.serving import ServedFiles, Service, serve_files
from dag.run.pod.out import limit_of


def serve_published(store: Store, service: Service) -> None:
    """Serve the packages that a store publishes, its index, and the public keys.

    Raises:
        InfrastructureError: no client came.

    """
    store.read()
    try:
        serve_files(service, _Published(store))
    finally:
        store.close()


class _Published(ServedFiles):
    """What a store publishes, under the names that a build would have given it in its workspace."""

    def __init__(self, store: Store) -> None:
        self._store = store
        folder = f"packages/{store.arch.apk}"
        self._packages = {
            f"{folder}/{file}": apk.sha256
            for record in store.records.values()
            for file, apk in record.files.items()
        }
        self._small: dict[str, bytes] = {}
        if index := store.files.read(f"{store.arch.apk}/{INDEX_FILE}", PACKAGE_INDEX):
            self._small[f"{folder}/{INDEX_FILE}"] = index.data
        for name in store.objects.names("key"):
            short = name.removeprefix("key/")
            if short.endswith(".pub") and limit_of(short, store.arch.apk) is None:
                say(f"{store.objects.address(name)} stays there: --out takes no file of that name")
            elif short.endswith(".pub") and (key := store.objects.read(name, PUBLIC_KEY)):
                self._small[short] = key.data

    def listing(self) -> str:
        """Return the lines of sha256sum; packages are without signatures, as their records say."""
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in self._small.items()}
        return "".join(f"{digest}  {name}\n" for name, digest in (self._packages | digests).items())

    def opened(self, name: str) -> AbstractContextManager[BinaryIO] | None:
        """Open a file; None if there is none of this name."""
        if name in self._small:
            return io.BytesIO(self._small[name])
        return self._opened_package(name) if name in self._packages else None

    @contextmanager
    def _opened_package(self, name: str) -> Iterator[BinaryIO]:
        blob = blob_name(self._packages[name])
        with self._store.objects.opened(blob, BUILT_PACKAGE) as file:
            if file is None:
                raise InfrastructureError(f"{self._store.objects.address(blob)} is gone")
            with os.fdopen(os.dup(file), "rb") as opened:
                yield opened
