"""Opens a bucket by its URL; the libraries of the clouds take long to import, so only the one needed is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dag.core.store.buckets import translate_settings

if TYPE_CHECKING:
    from dag.core.store.buckets import Bucket
    from dag.io.store.objects import Objects


def use_settings(say: Callable[[str], None]) -> Mapping[str, str]:
    """Return the clouds' settings of the environment; `say` is told of those with names of rclone.

    These are put into the environment by their own names, where the libraries of the clouds look.
    """
    settings = translate_settings(os.environ)
    os.environ.update(settings.variables)
    for note in settings.notes:
        say(note)
    return settings.variables


def open_bucket(bucket: Bucket, environment: Mapping[str, str]) -> Objects:
    """Return the store that a bucket's URL names, with the clouds' own settings.

    Raises:
        StoreError: the settings are not enough.

    """
    if bucket.scheme == "gs":
        from dag.io.store.buckets.google import GoogleStore

        return GoogleStore(bucket, environment)
    from dag.io.store.buckets.clouds import CloudStore

    return CloudStore(bucket, environment)
