"""Finished units of another store: what it proved need not be built again here."""

from __future__ import annotations

from dag.core.limits import PACKAGE
from dag.core.package.apk import BrokenPackage
from dag.core.store.layout import blob_name
from dag.core.store.records import Record
from dag.errors import InfrastructureError
from dag.io.store.local import Store


def take_from(store: Store, other: Store, record: Record) -> None:
    """Take a record of another store, and its packages, into a store; it is not published by that.

    The packages are copied and read like those that a build left. The lock of `store` must be held.

    Raises:
        InfrastructureError: one of them is not what the record says.
        OSError: there is no room, for example.

    """
    for one in record.built:
        if store.blobs.has(one.apk) and store.blobs.is_whole(one.apk.sha256):
            store.objects.renew(blob_name(one.apk.sha256))
            continue
        with other.objects.opened(blob_name(one.apk.sha256), PACKAGE) as file:
            if file is None:
                raise _unusable(other, record, f"{one.apk.file} is gone")
            try:
                staged = store.blobs.stage_file(file, one.apk.file)
            except BrokenPackage as error:
                raise _unusable(other, record, str(error)) from error
        try:
            if staged.apk != one.apk:
                raise _unusable(other, record, f"{one.apk.file} is another package")
            store.blobs.keep(staged)
        finally:
            store.blobs.discard((staged,))
    store.keep_record(record)


def _unusable(other: Store, record: Record, why: str) -> InfrastructureError:
    return InfrastructureError(
        f"{record.name} {record.version} of the store {other.name} cannot be used: {why}",
        hint="`dag store verify` tells what is wrong with that store; leave --from out to build it",
    )
