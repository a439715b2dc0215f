"""Verify a store, and remove what nobody needs of it; a build may run beside both."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from dag.core.decoding import Undecodable
from dag.core.limits import RECORD, TooLarge
from dag.core.package.apk import BrokenPackage
from dag.core.store.layout import (
    BLOBS,
    PUBLISHED,
    RECORDS,
    RUNS,
    STATE,
    RecordName,
    blob_name,
    read_blob_name,
    read_publication_name,
    read_record_name,
    read_run_of,
)
from dag.core.store.publication import Publication, decode_publication
from dag.core.store.records import Record, decode_record
from dag.core.store.upkeep import GRACE, unneeded_blobs, unneeded_runs
from dag.errors import UsageError
from dag.io.package.prover import PackageReader, open_inside
from dag.io.store.objects import DirectoryObjects


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a store that is not as it should be."""

    path: Path
    what: str
    """What is wrong, as the end of a sentence that begins with the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What there is in a store, and what is wrong with it."""

    blobs: int
    records: int
    published: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Pruning:
    """The blobs and runs that were removed, or would be."""

    blobs: int
    size: int
    """The bytes of the blobs."""
    runs: int


def verify_store(root: Path, *, repair: bool = False) -> Verification:
    """Compare every blob with its hash, every record with its blobs, published files with records.

    With `repair`, blobs and records that are damaged are removed; what they were of is built again.

    Raises:
        UsageError: there is no store.

    """
    return _Verifier(root).verify(repair=repair)


def prune_store(root: Path, *, dry_run: bool = False) -> Pruning:
    """Remove the blobs that no record names and that nobody has written or renewed for seven days.

    What is left of runs that ended thirty days ago goes, too, but for the ten latest ones and for the
    logs that records name.

    Raises:
        UsageError: there is no store, or a record cannot be read, so that nobody knows what it names.

    """
    objects = _objects(root)
    # Ages first: whoever writes a record meanwhile has renewed its blobs.
    ages: dict[str, float] = {}
    for name in objects.names(BLOBS):
        digest, age = read_blob_name(name), objects.age(name)
        if digest is not None and age is not None:
            ages[digest] = age
    removed = size = 0
    records = list(_records(root, objects))
    for digest in unneeded_blobs(ages, records):
        name = blob_name(digest)
        bytes_ = objects.size(name) or 0
        if dry_run or objects.remove_older(name, GRACE):
            removed, size = removed + 1, size + bytes_
    runs = _prune_runs(objects, {record.log for record in records}, dry_run=dry_run)
    if not dry_run:
        _remove_dead_links(root / "logs")
    return Pruning(removed, size, runs)


def _prune_runs(objects: DirectoryObjects, needed: Collection[str], *, dry_run: bool) -> int:
    ages: dict[str, float] = {}
    files: dict[str, list[str]] = {}
    for name in objects.names(RUNS):
        run, age = read_run_of(name), objects.age(name)
        if run is not None and age is not None and name not in needed:
            ages[run] = min(age, ages.get(run, age))
            files.setdefault(run, []).append(name)
    unneeded = unneeded_runs(ages)
    for run in () if dry_run else unneeded:
        for name in files[run]:
            objects.remove(name)
        objects.remove_empty(f"{RUNS}/{run}")
    return len(unneeded)


def _remove_dead_links(logs: Path) -> None:
    for link in logs.glob("*/*.log"):
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)


def _records(root: Path, objects: DirectoryObjects) -> Iterator[Record]:
    for name in objects.names(RECORDS):
        try:
            yield decode_record(objects.read(name, RECORD))
        except FileNotFoundError:
            continue  # it went meanwhile
        except (OSError, Undecodable, TooLarge) as error:
            raise UsageError(
                f"{root / STATE / name} cannot be read as a record: {error}",
                hint="`dag build` takes over older records, `dag store verify` tells of damaged ones",
            ) from error


def _objects(root: Path) -> DirectoryObjects:
    if not (root / STATE).is_dir():
        raise UsageError(f"{root} is no store: it has no {STATE}", hint="--store names another one")
    return DirectoryObjects(root / STATE)


class _Verifier:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._objects = _objects(root)
        self._problems: list[Problem] = []
        self._damaged: list[str] = []

    def verify(self, *, repair: bool) -> Verification:
        blobs = sum(map(self._verify_blob, self._objects.names(BLOBS)))
        records = sum(map(self._verify_record, self._objects.names(RECORDS)))
        with PackageReader() as reader:
            published = sum(
                self._verify_publication(name, reader) for name in self._objects.names(PUBLISHED)
            )
        for name in self._damaged if repair else ():
            self._objects.remove(name)
        return Verification(
            blobs=blobs, records=records, published=published, problems=tuple(self._problems)
        )

    def _tell(self, name: str, what: str, *, is_damaged: bool = True) -> None:
        self._problems.append(Problem(self._root / STATE / name, what))
        if is_damaged:
            self._damaged.append(name)

    def _verify_blob(self, name: str) -> bool:
        digest = read_blob_name(name)
        if digest is None:
            self._tell(name, "is no blob")
            return False
        try:
            with self._objects.path(name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return False  # it went meanwhile
        except OSError as error:
            self._tell(name, f"cannot be read: {error.strerror}", is_damaged=False)
            return False
        if found != digest:
            self._tell(name, f"has the SHA-256 {found}")
        return True

    def _verify_record(self, name: str) -> bool:
        parts = read_record_name(name)
        if parts is None:
            self._tell(
                name, "is a record of an older dag; `dag build` takes it over", is_damaged=False
            )
            return False
        try:
            record = decode_record(self._objects.read(name, RECORD))
        except FileNotFoundError:
            return False
        except (OSError, Undecodable, TooLarge) as error:
            self._tell(name, f"is no record: {error}")
            return True
        if (record.name, record.key, record.result) != (parts.name, parts.key, parts.result):
            self._tell(name, "is a record of something else")
        for one in record.built:
            if self._objects.size(blob_name(one.apk.sha256)) != one.apk.size:
                self._tell(name, f"names {one.apk.file}, of which there is no whole blob")
        return True

    def _verify_publication(self, name: str, reader: PackageReader) -> int:
        parts = read_publication_name(name)
        publication = self._publication(name)
        if parts is None or publication is None:
            return 0
        record_name = RecordName(parts, publication.name, publication.key, publication.result)
        try:
            record = decode_record(self._objects.read(str(record_name), RECORD))
        except FileNotFoundError:
            self._tell(name, "says that a record is published that is not there", is_damaged=False)
            return 0
        except (OSError, Undecodable, TooLarge):
            return 0  # that was told
        for file, size in publication.sizes.items():
            what = self._compare(parts, file, size, record, reader)
            # A build may be about to replace the files.
            if what and self._publication(name) == publication:
                self._problems.append(Problem(self._root / parts / file, what))
        return len(publication.sizes)

    def _publication(self, name: str) -> Publication | None:
        try:
            return decode_publication(self._objects.read(name, RECORD))
        except FileNotFoundError:
            return None
        except (OSError, Undecodable, TooLarge) as error:
            self._tell(name, f"does not say what is published: {error}")
            return None

    def _compare(
        self, arch: str, file: str, size: int, record: Record, reader: PackageReader
    ) -> str | None:
        """Return what is wrong with a published file; None if it is the record's."""
        wanted = record.files.get(file)
        try:
            with open_inside(self._root, PurePath(arch, file)) as descriptor:
                found = reader.read(descriptor)
        except FileNotFoundError:
            return "is published and not there; the next build of it publishes it anew"
        except (BrokenPackage, OSError) as error:
            return f"is no package: {error}"
        if wanted is None or found.apk.sha256 != wanted.sha256:
            return "is another package than the one that was built"
        if found.signature + found.apk.size != size:
            return "has another signature than the one that was published"
        return None
