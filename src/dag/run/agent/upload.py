"""Uploads what was built when the build has ended, and lets the bucket's index know it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dag.core.limits import PACKAGE_INDEX
from dag.core.package.apk import BrokenPackage, PublishedApk, archive_of
from dag.core.package.apkindex import INDEX_FILE
from dag.core.store.buckets import Bucket
from dag.core.store.merging import is_listed, listed_stanzas, merge_index
from dag.errors import InfrastructureError
from dag.io.agent.intake import TakenFile, take_packages
from dag.io.package.apkindex import index_text
from dag.io.package.prover import PackageReader
from dag.io.package.signing import SigningKey
from dag.io.store.objects import StoreError, insist, update
from dag.report.terminal import say
from dag.report.words import count
from dag.run.agent.awaiting import await_build
from dag.run.agent.buckets import PACKAGES, open_with_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOrder:
    """What is uploaded, where from and where to."""

    bucket: Bucket
    arch: str
    workspace: Path
    """Where the build writes."""
    pipe: Path
    """The pipe that the build holds open."""
    state: Path
    """A directory that the build cannot reach."""
    key: SigningKey | None = None
    """What the bucket's index is signed with; without one it has no signature."""


@dataclass(frozen=True, slots=True)
class _Built:
    file: Path
    package: PublishedApk


def upload(order: UploadOrder) -> None:
    """Wait for the end of the build, and upload every package that is whole.

    Subpackages come first: where the package of a build is, its subpackages are. The index comes
    last, and is replaced only if it is still the one that was read. What took hours to build is not
    given up for a bucket that is busy for some seconds.

    Raises:
        StoreError: the bucket cannot be written to.
        InfrastructureError: the pod was ended before the build had begun.

    """
    await_build(order.pipe, last=True)
    built = list(_judge(order))
    if not built:
        say("there are no finished packages to upload")
        return
    store = open_with_settings(order.bucket)
    place = f"{PACKAGES}/{order.arch}"
    index = f"{place}/{INDEX_FILE}"
    found = insist(partial(store.read, index, PACKAGE_INDEX))
    known = _listed(found.data if found else None, order.bucket)
    new = [one for one in built if not is_listed(known, one.package)]
    for one in sorted(new, key=lambda one: one.package.apk.origin == one.package.apk.name):
        insist(partial(store.upload, f"{place}/{one.package.apk.file}", one.file))
    say(f"{count(len(built), 'package')} are in {order.bucket}/{place}")
    try:
        insist(lambda: update(store, index, PACKAGE_INDEX, lambda it: _merged(it, new, order)))
    except InfrastructureError as error:
        raise StoreError(
            f"the packages are uploaded, but the index of the bucket is as it was: {error.message}",
            hint=error.hint,
        ) from error
    signed = "" if order.key else ", without a signature: see --secret-key"
    say(f"the index of {order.bucket}/{place} has them{signed}")


def _judge(order: UploadOrder) -> Iterator[_Built]:
    """Yield the packages that are whole and are what their names say; say what the others are."""
    with PackageReader() as reader:
        for taken in take_packages(order.workspace, order.arch, order.state / "packages"):
            if isinstance(taken, str):
                say(f"not uploaded: {taken}")
                continue
            try:
                yield _read(reader, taken, order.arch)
            except BrokenPackage as error:
                say(f"not uploaded: {taken.name}: {error}")
                taken.copy.unlink()


def _read(reader: PackageReader, taken: TakenFile, arch: str) -> _Built:
    with taken.copy.open("rb") as file:
        found = reader.read(file.fileno())
    apk = found.apk
    if apk.file != taken.copy.name or apk.arch not in (arch, "noarch"):
        raise BrokenPackage(f"it says that it is {apk.file} for {apk.arch}")
    return _Built(taken.copy, PublishedApk(apk, found.signature + apk.size))


def _merged(found: bytes | None, new: list[_Built], order: UploadOrder) -> bytes:
    before = _listed(found, order.bucket)
    merged = merge_index(before, [one.package for one in new])
    if found is not None and merged == before:
        return found
    index = archive_of(merged.values())
    return index if order.key is None else order.key.sign(index)


def _listed(data: bytes | None, bucket: Bucket) -> dict[tuple[str, str], str]:
    """Return what an index lists; there need not be one."""
    if data is None:
        return {}
    try:
        return listed_stanzas(index_text(data))
    except ValueError as error:
        raise StoreError(
            f"the index of {bucket} is broken: {error}",
            hint="make it anew with melange index, or remove it",
        ) from error
