"""Where stores are: in directories of this machine, and in buckets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from dag.core.arch import Arch
from dag.core.store.buckets import Bucket
from dag.core.store.layout import RUNS, STATE
from dag.io.store.buckets.opening import open_bucket, use_settings
from dag.io.store.directory import DirectoryObjects
from dag.io.store.local import Store
from dag.io.store.objects import BucketObjects, Objects
from dag.io.usercache import user_cache


class StorePlace(Struct, frozen=True):
    """A store of all architectures, which need not be there yet."""

    name: str
    """What people call it: a path or a URL."""
    root: Path
    """Its directory, or of one in a bucket that of what is only needed on this machine."""
    bucket: BucketObjects | None = None

    @property
    def files(self) -> Objects:
        """Return what is published."""
        return self.bucket.files if self.bucket else self._directory(self.root)

    @property
    def state(self) -> Objects:
        """Return what the store keeps for itself."""
        return self.bucket.state if self.bucket else self._directory(self.root / STATE)

    def _directory(self, root: Path) -> DirectoryObjects:
        return DirectoryObjects(root, self.root / STATE / "changes.lock")

    def store(self, arch: Arch) -> Store:
        """Return the store of one architecture."""
        return Store(self.root, arch, self.bucket)

    def exists(self) -> bool:
        """Return whether there is a store."""
        if self.bucket is None:
            return (self.root / STATE).is_dir()
        return next(self.bucket.state.folders(RUNS), None) is not None


def open_place(
    location: Path | Bucket, say: Callable[[str], None], scratch: Path | None = None
) -> StorePlace:
    """Return the place of a store; a bucket is opened by the settings in the environment.

    What of a store in a bucket is only needed here is in the user's cache, with copies of packages; or in
    `scratch`, without any: it goes when its pod does.

    Raises:
        StoreError: the settings are not enough.

    """
    if isinstance(location, Path):
        return StorePlace(str(location), location)
    variables = use_settings(say)
    url = str(location)
    objects = BucketObjects(
        url=url,
        files=open_bucket(location, variables),
        state=open_bucket(location.below(STATE), variables),
        keeps_copies=scratch is None,
    )
    name = hashlib.sha256(url.encode()).hexdigest()[:32]
    return StorePlace(url, scratch or user_cache("stores") / name, objects)
