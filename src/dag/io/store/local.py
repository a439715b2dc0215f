"""The store: finished packages by architecture, and their records, in a directory or a bucket.

```
STORE/ARCH/NAME-VERSION-rEPOCH.apk, APKINDEX.tar.gz     what is published: a repository for apk
STORE/logs/ARCH/NAME.log                                links to the latest logs
STORE/.dag/blobs, records, published, runs              see `dag.core.store.layout`
STORE/.dag/lock                                         its holder builds on this machine
STORE/.dag/incoming/…                                   packages on their way in
STORE/.dag/work/…                                       workspaces; those of a dead run are moved to
STORE/.dag/trash/…                                      what is removed while the next run builds
```

A unit comes in blobs first, then its record: from then on it is finished. Its published files follow
from that. While these are replaced, nothing says which record they are of; so whoever dies then
leaves a unit that is finished and not published, and who needs it next publishes it anew.

Of a store in a bucket, what is only needed here is in a directory of the user's cache, with copies of
blobs: a lock, workspaces, what is on its way in. Others may write to the bucket at the same time. So
whoever publishes a unit there must have been the first to say so, or leaves it to the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from dag.core.arch import Arch
from dag.core.limits import RECORD
from dag.core.package.apk import PublishedApk
from dag.core.store.layout import PUBLISHED, RECORDS, STATE, record_name
from dag.core.store.publication import Publication, choose_result, decode_publication
from dag.core.store.records import Record, encode_record
from dag.errors import InfrastructureError
from dag.io import durable
from dag.io.removal import Trash, remove
from dag.io.store.blobs import Blobs, StagedApk
from dag.io.store.directory import DirectoryObjects
from dag.io.store.hints import hints_of
from dag.io.store.lock import Lock
from dag.io.store.objects import BucketObjects, Objects, insist, read_each
from dag.io.store.publications import Publications
from dag.io.store.runs import Runs
from dag.io.store.storedrecords import StoredRecords


class Store:
    """The store of one architecture; only the holder of its lock changes it."""

    def __init__(self, root: Path, arch: Arch, bucket: BucketObjects | None = None) -> None:
        """Name the store; `prepare`, its lock and `recover` make it usable.

        Of a store in a bucket, `root` is the directory of what is only needed here.
        """
        # Builds run in other directories, and melange needs ones that are not behind a link.
        root = root.resolve()
        self.root = root
        self.arch = arch
        self.packages = root / arch.apk
        self.state = root / STATE
        changes = self.state / "changes.lock"
        self._near = DirectoryObjects(self.state, changes)
        self.is_shared = bucket is not None
        """Whether others may write to it although the lock is held."""
        self.name = bucket.url if bucket else str(root)
        self.objects: Objects = bucket.state if bucket else self._near
        self.files: Objects = bucket.files if bucket else DirectoryObjects(root, changes)
        self.work = self.state / "work"
        self.trash = Trash(self.state / "trash")
        """What a dead run has left; it is removed while the next one builds."""
        self.log_links = root / "logs" / arch.apk
        self.runs = Runs(self.objects, self.state, arch.apk, self.log_links, is_far=self.is_shared)
        self.incoming = self.state / "incoming" / arch.apk
        copies = self._near if bucket and bucket.keeps_copies else None
        self.blobs = Blobs(self.objects, self.incoming, copies)
        self.hints, self.disk_hints = hints_of(self.objects, arch.apk)
        self.lock_path = self.state / "lock"
        self.lock = Lock(self.lock_path, what=f"the store {self.name}")
        self.records: dict[tuple[str, str], Record] = {}
        """The published records by the unit's name and version."""
        self.sizes: dict[str, int] = {}
        """The bytes of the published files, by their names."""
        self._owners: dict[str, tuple[str, str]] = {}
        """The unit of each published file."""
        self.half_published: dict[tuple[str, str], tuple[str, ...]] = {}
        """The units whose published files may be of different records, with these files."""
        self.left: dict[tuple[str, str], Record] = {}
        """The units that somebody else was publishing when they came in."""
        self.chosen: Mapping[str, str] = {}
        """The results, by the units' names, that go before published ones: see `read_results`."""
        self._publications = Publications(self.objects, arch.apk, is_shared=self.is_shared)
        self.stored = StoredRecords(self.objects, arch.apk)

    def prepare(self) -> None:
        """Make the directories, so that the lock can be taken.

        Raises:
            InfrastructureError: they cannot be made.

        """
        directories = (self.packages, self.work, self.log_links, self.incoming)
        try:
            for directory in directories:
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfrastructureError(
                f"the store {self.root} cannot be made: {error.strerror}",
                hint="name another directory with --store",
            ) from error

    def close(self) -> None:
        """Let go of the lock and of the process that reads packages."""
        self.blobs.reader.close()
        self.lock.release()

    def recover(self, say: Callable[[str], None]) -> None:
        """Remove what a dead run has left, and read what is published.

        The lock must be held, and no process of the dead run may be alive. `say` is told of records
        that are damaged.
        """
        for left in (*self.work.iterdir(), *self.incoming.iterdir()):
            self.trash.take(left)
        with suppress(FileNotFoundError):  # steps could write there in earlier versions
            self.trash.take(self.state / "cache")
        for left in self.packages.glob(f"{durable.TEMPORARY}*"):
            left.unlink()
        self.runs.keep_left()
        self.blobs.trim()
        self._near.clear_temporary("published", "records", "blobs")
        for name, why in self.read():
            if why:
                say(
                    f"{self.objects.address(name)} is damaged ({why}) and is removed; its packages "
                    "stay, and count as if make had built them"
                )
            # Without a word it may be that somebody has just begun to publish other files.
            if why or not self.is_shared:
                self.objects.delete(name)

    def read(self) -> list[tuple[str, str]]:
        """Read what is published, which needs no lock.

        Returns the objects that are worth nothing any more, each with what is damaged, if that is why.
        """
        self.blobs.learn()
        if self.is_shared:
            self.stored.list_all()
        folder = f"{self.arch.apk}/"
        sizes = {one.name.removeprefix(folder): one.size for one in self.files.list(self.arch.apk)}
        worthless = []
        found: dict[str, Publication] = {}
        for one in (self.records, self.sizes, self._owners, self.half_published):
            one.clear()
        names = self.objects.names(f"{PUBLISHED}/{self.arch.apk}")
        for name, publication in read_each(self.objects, names, RECORD, decode_publication):
            if isinstance(publication, str):
                worthless.append((name, publication))
            elif publication is not None and publication.sizes:
                found[name] = publication
            elif publication is not None:
                unit = (publication.name, publication.version)
                self.half_published[unit] = publication.leaving
        by_publication = {name: record_name(self.arch.apk, one) for name, one in found.items()}
        records = dict(self.stored.read(by_publication.values()))
        for name, publication in found.items():
            record = records[by_publication[name]]
            if (
                isinstance(record, Record)
                and self._has_blobs(record)
                and publication.sizes.keys() == record.files.keys()
                and all(sizes.get(file) == size for file, size in publication.sizes.items())
            ):
                self._count(record, publication.sizes)
                continue
            worthless.append((name, ""))
            if isinstance(record, str):
                worthless.append((by_publication[name], record))
        return worthless

    def _has_blobs(self, record: Record) -> bool:
        return all(self.blobs.has(one.apk) for one in record.built)

    def records_of(self, name: str, key: str = "") -> Iterator[Record]:
        """Yield all records of a unit that are whole, published or not; with `key` only those of it.

        Of a store in a bucket, those without a `key` are the ones that were there when it was read.
        """
        return filter(self._has_blobs, self.stored.of(name, key))

    def find(self, name: str, version: str, fingerprint: str) -> Record | None:
        """Return the record of a unit of this version that was built from this definition.

        The published one goes before others. One of an unknown definition counts if it is published.
        """
        published = self.records.get((name, version))
        if published and fingerprint and published.fingerprint not in ("", fingerprint):
            published = None
        if published and self.chosen.get(name) in (None, published.result):
            return published
        of_version = (one for one in self.records_of(name) if one.version == version)
        same = [one for one in of_version if one.fingerprint == fingerprint]
        if published:
            same.append(published)
        return choose_result(same, self.preferred_results(name, version))

    def find_key(self, name: str, key: str) -> Record | None:
        """Return the record of just what goes into a unit; the published one goes before others."""
        records = list(self.records_of(name, key))
        # They have one version, because that goes into the key.
        return choose_result(
            records, self.preferred_results(name, records[0].version) if records else ()
        )

    def preferred_results(self, name: str, version: str) -> tuple[str, ...]:
        """Return the results of a unit that go before others, the best one first.

        That is what the run before went on with, then what is published.
        """
        published = self.records.get((name, version))
        found = (self.chosen.get(name), published.result if published else None)
        return tuple(dict.fromkeys(filter(None, found)))

    # ---- what comes in ------------------------------------------------------------------------

    def promote(
        self, record: Record, staged: Mapping[str, StagedApk], *, publish: bool = True
    ) -> int:
        """Take in a proven unit, and `publish` it; `staged` are its packages by the names of files.

        Returns how many different results there are now of what went into it.

        Raises:
            OSError: there is no room, for example; then the unit is not finished.

        """
        for one in staged.values():
            insist(partial(self.blobs.keep, one))
        self.keep_record(record)
        files = {file: one.path for file, one in staged.items()}
        if publish and not insist(lambda: self._publish(record, files)):
            self.left[record.name, record.version] = record
        return self.count_results(record)

    def count_results(self, record: Record) -> int:
        """Return how many different results the store has of what went into a unit."""
        folder = f"{RECORDS}/{self.arch.apk}/{record.name}/{record.key}"
        return sum(1 for _ in self.objects.names(folder))

    def keep_record(self, record: Record) -> None:
        """Write a record, whose blobs are there; from then on its unit is finished."""
        name = record_name(self.arch.apk, record)
        insist(lambda: self.objects.create(name, encode_record(record)))
        self.stored.add(record, name)

    def _publish(self, record: Record, files: Mapping[str, Path]) -> bool:
        """Let the published files of a unit be these, which are on the disk.

        A package may have moved from one definition to another. Then its file belongs to the new
        one. Returns False if somebody else publishes the unit just now.
        """
        unit, folder = (record.name, record.version), self.arch.apk
        lost = {self._owners[file] for file in files if file in self._owners} - {unit}
        before = self.records.get(unit)
        leaving = {*(before.files if before else ()), *self.half_published.get(unit, ())}
        # As long as this stands there, nobody believes what is published of the unit.
        if not self._say_published(record, {}, leaving=tuple(sorted({*leaving, *files}))):
            return False
        self.records.pop(unit, None)
        for one in lost:
            self._publications.delete(*one)
            self.records.pop(one, None)  # this may be another attempt
        sizes = {}
        for file, source in files.items():
            sizes[file] = source.stat().st_size
            self.files.upload(f"{folder}/{file}", source)
        for file in leaving.difference(files):
            if self._owners.get(file, unit) == unit:
                self.files.delete(f"{folder}/{file}")
                self._owners.pop(file, None)
        return self._say_published(record, sizes)

    def _say_published(
        self, record: Record, sizes: dict[str, int], *, leaving: tuple[str, ...] = ()
    ) -> bool:
        """Say which files of a unit are published; return False if somebody else says so now."""
        publication = Publication(
            name=record.name,
            version=record.version,
            key=record.key,
            result=record.result,
            sizes=sizes,
            leaving=leaving,
        )
        if not self._publications.say(publication):
            return False
        if sizes:
            self._count(record, sizes)
        else:
            self.half_published[record.name, record.version] = leaving
        return True

    def _count(self, record: Record, sizes: Mapping[str, int]) -> None:
        unit = (record.name, record.version)
        self.half_published.pop(unit, None)
        self.records[unit] = record
        self.sizes |= sizes
        self._owners |= dict.fromkeys(sizes, unit)

    def publishes(self, record: Record) -> bool:
        """Return whether the published files of a unit are those of this record."""
        there = self.records.get((record.name, record.version))
        return there is not None and (there.key, there.result) == (record.key, record.result)

    def publish(self, record: Record, sign: Callable[[Iterable[Path]], None]) -> bool:
        """Publish a record of the store, unless it is; `sign` adds a signature to each of some files.

        Returns False if somebody else publishes another result of the unit just now.

        Raises:
            InfrastructureError: a blob is damaged.

        """
        if self.publishes(record):
            return True
        place = self.incoming / secrets.token_hex(8)
        place.mkdir()
        try:
            files = {file: self.blobs.hand_out(apk, place) for file, apk in record.files.items()}
            sign(files.values())
            for path in files.values():
                durable.sync(path)
            return insist(lambda: self._publish(record, files))
        finally:
            remove(place)

    def take_as_published(self, record: Record, *, keep: bool) -> None:
        """Take in a unit whose blobs are there, and whose published files are; `keep` what is said."""
        sizes = {file: (self.packages / file).stat().st_size for file in record.files}
        if keep:
            self.keep_record(record)
            self._say_published(record, sizes)
        else:
            self._count(record, sizes)

    # ---- what goes out ------------------------------------------------------------------------

    def forget(self, name: str) -> bool:
        """Delete all versions of a unit; return False if somebody else publishes one just now."""
        files = {file for record in self.records_of(name) for file in record.files}
        units = [one for one in {*self.records, *self.half_published} if one[0] == name]
        if any(self._publications.is_under_way(*one) for one in units if one not in self.records):
            return False
        for unit in units:
            record = self.records.get(unit)
            if record and not self._say_published(record, {}, leaving=tuple(record.files)):
                return False
            self.records.pop(unit, None)
            files.update(self.half_published.pop(unit, ()))
        for file in files:
            if self._owners.get(file, (name, ""))[0] == name:
                self.files.delete(f"{self.arch.apk}/{file}")
        for unit in units:  # not before, because nothing else says whose the files were
            self._publications.delete(*unit)
        for one in self.objects.names(f"{RECORDS}/{self.arch.apk}/{name}"):
            self.objects.delete(one)
        return True

    def published(self) -> Iterator[PublishedApk]:
        """Yield the packages that an index of the store lists."""
        for record in self.records.values():
            for file, apk in record.files.items():
                yield PublishedApk(apk, self.sizes.get(file, apk.size))

    def seconds(self) -> dict[str, float]:
        """Return how long units took, by name; of several versions the last record counts."""
        return {r.name: r.seconds for r in self.records.values() if r.seconds > 0}
