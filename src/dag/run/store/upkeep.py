"""Verify a store, and remove what nobody needs of it; a build may run beside both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dag.core.limits import PACKAGE, RECORD
from dag.core.package.apk import Apk, BrokenPackage
from dag.core.store.layout import (
    BLOBS,
    PUBLISHED,
    RECORDS,
    REQUESTS,
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
from dag.core.store.upkeep import GRACE, unneeded_blobs, unneeded_requests, unneeded_runs
from dag.errors import UsageError
from dag.io.files import sha256_of
from dag.io.package.prover import PackageReader
from dag.io.store.directory import DirectoryObjects
from dag.io.store.objects import Objects, read_each
from dag.io.store.places import StorePlace
from dag.run.store.published import unlike_published


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a store that is not as it should be."""

    address: str
    """Its path or URL."""
    what: str
    """What is wrong, as the end of a sentence that begins with the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What there is in a store, and what is wrong with it."""

    blobs: int
    records: int
    published: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Pruning:
    """The blobs, runs and requests that were removed, or would be."""

    blobs: int
    size: int
    """The bytes of the blobs."""
    runs: int
    requests: int
    """Those to a signer, and their answers."""


def verify_store(place: StorePlace, *, repair: bool = False) -> Verification:
    """Compare every blob with its hash, every record with its blobs, published files with records.

    The index is compared with what is published, and so are the files beside it.

    With `repair`, blobs and records that are damaged are removed; what they were of is built again.

    Raises:
        UsageError: there is no store.

    """
    return _Verifier(place).verify(repair=repair)


def prune_store(place: StorePlace, *, dry_run: bool = False) -> Pruning:
    """Remove the blobs that no record names and that nobody has written or renewed for seven days.

    What is left of runs that ended thirty days ago goes, too, but for the ten latest ones and for the
    logs that records name. So do requests to a signer that nobody waits for: answered ones that are older
    than seven days, and others that are older than thirty.

    Raises:
        UsageError: there is no store, or a record cannot be read, so that nobody knows what it names.

    """
    objects = _state_of(place)
    # Ages first: whoever writes a record meanwhile has renewed its blobs.
    listed = ((read_blob_name(one.name), one) for one in objects.list(BLOBS))
    blobs = {digest: one for digest, one in listed if digest is not None}
    records = list(_records(objects))
    removed = size = 0
    for digest in unneeded_blobs({digest: one.age for digest, one in blobs.items()}, records):
        if dry_run or objects.delete_older(blob_name(digest), GRACE):
            removed, size = removed + 1, size + blobs[digest].size
    runs = _prune_runs(objects, {record.log for record in records}, dry_run=dry_run)
    requests = unneeded_requests({one.name: one.age for one in objects.list(REQUESTS)})
    if not dry_run:
        remove_requests(objects, requests)
    if not dry_run and place.bucket is None:
        _remove_dead_links(place.root / "logs")
    return Pruning(removed, size, runs, len(requests))


def remove_requests(objects: Objects, names: Iterable[str]) -> None:
    """Delete requests and answers."""
    for name in names:
        objects.delete(name)
        if isinstance(objects, DirectoryObjects):
            objects.remove_folder(name.rpartition("/")[0])


def _prune_runs(objects: Objects, needed: Collection[str], *, dry_run: bool) -> int:
    ages: dict[str, float] = {}
    files: dict[str, list[str]] = {}
    for one in objects.list(RUNS):
        run = read_run_of(one.name)
        if run is not None and one.name not in needed:
            ages[run] = min(one.age, ages.get(run, one.age))
            files.setdefault(run, []).append(one.name)
    unneeded = unneeded_runs(ages)
    for run in () if dry_run else unneeded:
        for name in files[run]:
            objects.delete(name)
        if isinstance(objects, DirectoryObjects):
            objects.remove_empty(f"{RUNS}/{run}")
    return len(unneeded)


def _remove_dead_links(logs: Path) -> None:
    for link in logs.glob("*/*.log"):
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)


def _records(objects: Objects) -> Iterator[Record]:
    for name, record in read_each(objects, objects.names(RECORDS), RECORD, decode_record):
        if isinstance(record, str):
            raise UsageError(
                f"{objects.address(name)} cannot be read as a record: {record}",
                hint="if an older version wrote it, `dag build` takes it over; if it is damaged, remove it",
            )
        if record is not None:  # else it went meanwhile
            yield record


def _state_of(place: StorePlace) -> Objects:
    if not place.exists():
        raise UsageError(
            f"{place.name} is no store: it has no {STATE}", hint="--store names another one"
        )
    return place.state


class _Verifier:
    def __init__(self, place: StorePlace) -> None:
        self._place = place
        self._files = place.files
        self._objects = _state_of(place)
        self._problems: list[Problem] = []
        self._damaged: list[str] = []

    def verify(self, *, repair: bool) -> Verification:
        sizes = {one.name: one.size for one in self._objects.list(BLOBS)}
        blobs = sum(map(self._verify_blob, sorted(sizes)))
        names = self._objects.names(RECORDS)
        found = read_each(self._objects, names, RECORD, decode_record)
        records = {name: record for name, record in found if record is not None}
        for name, record in records.items():
            self._verify_record(name, record, sizes)
        with PackageReader() as reader:
            published = sum(
                self._verify_publication(name, records, reader)
                for name in self._objects.names(PUBLISHED)
            )
        self._problems += (Problem(*one) for one in unlike_published(self._place))
        for name in self._damaged if repair else ():
            self._objects.delete(name)
        return Verification(
            blobs=blobs,
            records=sum(read_record_name(name) is not None for name in records),
            published=published,
            problems=tuple(self._problems),
        )

    def _tell(self, name: str, what: str, *, is_damaged: bool = True) -> None:
        self._problems.append(Problem(self._objects.address(name), what))
        if is_damaged:
            self._damaged.append(name)

    def _verify_blob(self, name: str) -> bool:
        digest = read_blob_name(name)
        if digest is None:
            self._tell(name, "is no blob")
            return False
        try:
            with self._objects.opened(name, PACKAGE) as file:
                if file is None:
                    return False  # it went meanwhile
                found = sha256_of(file)
        except OSError as error:
            self._tell(name, f"cannot be read: {error.strerror}", is_damaged=False)
            return False
        if found != digest:
            self._tell(name, f"has the SHA-256 {found}")
        return True

    def _verify_record(self, name: str, record: Record | str, sizes: Mapping[str, int]) -> None:
        parts = read_record_name(name)
        if parts is None:
            self._tell(
                name, "is a record of an older dag; `dag build` takes it over", is_damaged=False
            )
            return
        if isinstance(record, str):
            self._tell(name, f"is no record: {record}")
            return
        if (record.name, record.key, record.result) != (parts.name, parts.key, parts.result):
            self._tell(name, "is a record of something else")
        for one in record.built:
            blob = blob_name(one.apk.sha256)
            if sizes.get(blob) != one.apk.size and not self._has(blob, one.apk.size):
                self._tell(name, f"names {one.apk.file}, of which there is no whole blob")

    def _has(self, blob: str, size: int) -> bool:
        """Return whether there is a blob of this size, which may have come meanwhile."""
        found = self._objects.look(blob)
        return found is not None and found.size == size

    def _verify_publication(
        self, name: str, records: Mapping[str, Record | str], reader: PackageReader
    ) -> int:
        arch = read_publication_name(name)
        publication = self._publication(name)
        if arch is None or publication is None:
            return 0
        record_name = str(RecordName(arch, publication.name, publication.key, publication.result))
        record = records.get(record_name) or self._record(record_name)
        if record is None:
            self._tell(name, "says that a record is published that is not there", is_damaged=False)
            return 0
        if isinstance(record, str):
            return 0  # that was told
        for file, size in publication.sizes.items():
            what = self._compare(f"{arch}/{file}", size, record.files.get(file), reader)
            # A build may be about to replace the files.
            if what and self._publication(name) == publication:
                self._problems.append(Problem(self._files.address(f"{arch}/{file}"), what))
        return len(publication.sizes)

    def _record(self, name: str) -> Record | str | None:
        """Return a record that may have come meanwhile."""
        return next(read_each(self._objects, [name], RECORD, decode_record))[1]

    def _publication(self, name: str) -> Publication | None:
        found = next(read_each(self._objects, [name], RECORD, decode_publication))[1]
        if isinstance(found, str):
            self._tell(name, f"does not say what is published: {found}")
            return None
        return found

    def _compare(
        self, name: str, size: int, wanted: Apk | None, reader: PackageReader
    ) -> str | None:
        """Return what is wrong with a published file; None if it is the record's."""
        try:
            with self._files.opened(name, PACKAGE) as file:
                if file is None:
                    return "is published and not there; the next build of it publishes it anew"
                found = reader.read(file)
        except (BrokenPackage, OSError) as error:
            return f"is no package: {error}"
        if wanted is None or found.apk.sha256 != wanted.sha256:
            return "is another package than the one that was built"
        if found.signature + found.apk.size != size:
            return "has another signature than the one that was published"
        return None
