"""The local store: finished packages by architecture, and their records.

```
STORE/ARCH/NAME-VERSION-rEPOCH.apk, APKINDEX.tar.gz     what is published: a repository for apk
STORE/logs/ARCH/NAME.log                                links to the latest logs
STORE/.dag/blobs, records, published, runs              see `dag.core.store.layout`
STORE/.dag/incoming/…                                   packages on their way in
STORE/.dag/work/…                                       workspaces; those of a dead run are moved to
STORE/.dag/trash/…                                      what is removed while the next run builds
```

A unit comes in blobs first, then its record: from then on it is finished. Its published files follow
from that. While these are replaced, nothing says which record they are of; so whoever dies then
leaves a unit that is finished and not published, and who needs it next publishes it anew.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from dag.core.arch import Arch
from dag.core.decoding import Undecodable, decode
from dag.core.limits import RECORD
from dag.core.package.apk import PublishedApk
from dag.core.store.layout import (
    STATE,
    RecordName,
    publication_name,
    read_record_name,
    record_name,
)
from dag.core.store.publication import (
    Publication,
    choose_result,
    decode_publication,
    encode_publication,
)
from dag.core.store.records import Record, decode_record, encode_record
from dag.errors import InfrastructureError
from dag.io import durable
from dag.io.removal import Trash, remove
from dag.io.store.blobs import Blobs, StagedApk
from dag.io.store.lock import Lock
from dag.io.store.objects import DirectoryObjects
from dag.io.store.runs import Runs

_HINTS_LIMIT = 64 << 20
"""How many bytes of hints are read."""
_HINTS = msgspec.json.Decoder(dict[str, int])


class Store:
    """The store of one architecture; only the holder of its lock changes it."""

    def __init__(self, root: Path, arch: Arch) -> None:
        """Name the store; `prepare`, its lock and `recover` make it usable."""
        # Builds run in other directories, and melange needs ones that are not behind a link.
        root = root.resolve()
        self.root = root
        self.arch = arch
        self.packages = root / arch.apk
        self.state = root / STATE
        self.objects = DirectoryObjects(self.state)
        self.work = self.state / "work"
        self.trash = Trash(self.state / "trash")
        """What a dead run has left; it is removed while the next one builds."""
        self.log_links = root / "logs" / arch.apk
        self.runs = Runs(self.state, arch.apk, self.log_links)
        self.incoming = self.state / "incoming" / arch.apk
        self.blobs = Blobs(self.objects, self.incoming)
        self._hints = self.state / f"hints-{arch.apk}.json"
        self.lock_path = self.state / "lock"
        self.lock = Lock(self.lock_path, what=f"the store {root}")
        self.records: dict[tuple[str, str], Record] = {}
        """The published records by the unit's name and version."""
        self.sizes: dict[str, int] = {}
        """The bytes of the published files, by their names."""
        self._owners: dict[str, tuple[str, str]] = {}
        """The unit of each published file."""
        self.half_published: dict[tuple[str, str], tuple[str, ...]] = {}
        """The units whose published files may be of different records, with these files."""

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
        self.objects.clear_temporary("published", "records", "blobs")
        for name, why in self.read():
            if why:
                say(
                    f"{self.state / name} is damaged ({why}) and is removed; its packages stay, "
                    "and count as if make had built them"
                )
            remove(self.state / name)

    def read(self) -> list[tuple[str, str]]:
        """Read what is published, which needs no lock.

        Returns the objects that are worth nothing any more, each with what is damaged, if that is why.
        """
        worthless = []
        for name in self.objects.names(f"published/{self.arch.apk}"):
            try:
                publication = decode_publication(self.objects.read(name, RECORD))
            except (OSError, Undecodable) as error:
                worthless.append((name, _reason(error)))
                continue
            if not publication.sizes:
                unit = (publication.name, publication.version)
                self.half_published[unit] = publication.leaving
                continue
            record = self._record_of(publication)
            if isinstance(record, Record) and self._is_published(publication, record):
                self._count(record, publication.sizes)
                continue
            worthless.append((name, ""))
            if isinstance(record, str):
                worthless.append((_record_name(self.arch, publication), record))
        return worthless

    def _record_of(self, publication: Publication) -> Record | str | None:
        """Return the record that a publication names; or what is damaged; or None if it is gone."""
        try:
            record = self._read_record(_record_name(self.arch, publication))
        except FileNotFoundError:
            return None
        except (OSError, Undecodable) as error:
            return _reason(error)
        return record if self._has_blobs(record) else None

    def _read_record(self, name: str) -> Record:
        return decode_record(self.objects.read(name, RECORD))

    def _is_published(self, publication: Publication, record: Record) -> bool:
        if publication.sizes.keys() != record.files.keys():
            return False
        for file, size in publication.sizes.items():
            try:
                if (self.packages / file).stat().st_size != size:
                    return False
            except FileNotFoundError:
                return False
        return True

    def _has_blobs(self, record: Record) -> bool:
        return all(self.blobs.has(one.apk) for one in record.built)

    def records_of(self, name: str, key: str = "") -> Iterator[Record]:
        """Yield all records of a unit that are whole, published or not; with `key` only those of it."""
        folder = f"records/{self.arch.apk}/{name}"
        for found in self.objects.names(f"{folder}/{key}" if key else folder):
            if read_record_name(found) is None:
                continue
            try:
                record = self._read_record(found)
            except (OSError, Undecodable):
                continue  # it counts for nothing; `dag store verify` tells of it
            if self._has_blobs(record):
                yield record

    def find(self, name: str, version: str, fingerprint: str) -> Record | None:
        """Return the record of a unit of this version that was built from this definition.

        The published one goes before others. One of an unknown definition counts if it is published.
        """
        published = self.records.get((name, version))
        if published is not None and (
            not fingerprint or published.fingerprint in ("", fingerprint)
        ):
            return published
        return choose_result(
            one
            for one in self.records_of(name)
            if one.version == version and one.fingerprint == fingerprint
        )

    def find_key(self, name: str, key: str) -> Record | None:
        """Return the record of just what goes into a unit; the published one goes before others."""
        published = [one.result for one in self.records.values() if one.name == name]
        same = self.records_of(name, key)
        return choose_result(same, published)

    # ---- what comes in ------------------------------------------------------------------------

    def promote(self, record: Record, staged: Mapping[str, StagedApk]) -> int:
        """Take in a proven unit, and publish it; `staged` are its packages by the names of files.

        Returns how many different results there are now of what went into it.

        Raises:
            OSError: there is no room, for example; then the unit is not finished.

        """
        for one in staged.values():
            self.blobs.keep(one)
        self.keep_record(record)
        self._publish(record, {file: one.path for file, one in staged.items()})
        return sum(
            1 for _ in self.objects.names(f"records/{self.arch.apk}/{record.name}/{record.key}")
        )

    def keep_record(self, record: Record) -> None:
        """Write a record, whose blobs are there; from then on its unit is finished."""
        self.objects.create(record_name(self.arch.apk, record), encode_record(record))

    def _publish(self, record: Record, files: Mapping[str, Path]) -> None:
        """Let the published files of a unit be these, which move, and which are on the disk.

        A package may have moved from one definition to another. Then its file belongs to the new
        one.
        """
        unit = (record.name, record.version)
        lost = {self._owners[file] for file in files if file in self._owners} - {unit}
        before = self.records.pop(unit, None)
        leaving = {*(before.files if before else ()), *self.half_published.get(unit, ())}
        # As long as this stands there, nobody believes what is published of the unit.
        self._say_published(record, {}, leaving=tuple(sorted({*leaving, *files})))
        for one in lost:
            self.objects.remove(publication_name(self.arch.apk, *one))
            del self.records[one]
        sizes = {}
        for file, source in files.items():
            sizes[file] = source.stat().st_size
            source.replace(self.packages / file)
        for file in leaving.difference(files):
            if self._owners.get(file, unit) == unit:
                (self.packages / file).unlink(missing_ok=True)
                self._owners.pop(file, None)
        durable.sync(self.packages)
        self._say_published(record, sizes)

    def _say_published(
        self, record: Record, sizes: dict[str, int], *, leaving: tuple[str, ...] = ()
    ) -> None:
        publication = Publication(
            name=record.name,
            version=record.version,
            key=record.key,
            result=record.result,
            sizes=sizes,
            leaving=leaving,
        )
        unit = (record.name, record.version)
        self.objects.replace(
            publication_name(self.arch.apk, *unit), encode_publication(publication)
        )
        if sizes:
            self._count(record, sizes)
        else:
            self.half_published[unit] = leaving

    def _count(self, record: Record, sizes: Mapping[str, int]) -> None:
        unit = (record.name, record.version)
        self.half_published.pop(unit, None)
        self.records[unit] = record
        self.sizes |= sizes
        self._owners |= dict.fromkeys(sizes, unit)

    def publish(self, record: Record, sign: Callable[[Iterable[Path]], None]) -> None:
        """Publish a record of the store, unless it is; `sign` adds a signature to each of some files.

        Raises:
            InfrastructureError: a blob is damaged.

        """
        published = self.records.get((record.name, record.version))
        if published is not None and (published.key, published.result) == (
            record.key,
            record.result,
        ):
            return
        place = self.incoming / secrets.token_hex(8)
        place.mkdir()
        try:
            files = {file: self.blobs.hand_out(apk, place) for file, apk in record.files.items()}
            sign(files.values())
            for path in files.values():
                durable.sync(path)
            self._publish(record, files)
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

    def published(self) -> Iterator[PublishedApk]:
        """Yield the packages that an index of the store lists."""
        for record in self.records.values():
            for file, apk in record.files.items():
                yield PublishedApk(apk, self.sizes.get(file, apk.size))

    # ---- what is remembered -------------------------------------------------------------------

    def seconds(self) -> dict[str, float]:
        """Return how long units took, by name; of several versions the last record counts."""
        return {r.name: r.seconds for r in self.records.values() if r.seconds > 0}

    def ram(self) -> dict[str, int]:
        """Return the bytes of memory that units turned out to need, by name."""
        try:
            return decode(_HINTS, _read(self._hints, _HINTS_LIMIT), limit=_HINTS_LIMIT)
        except (FileNotFoundError, Undecodable):
            return {}  # these are only hints; what is lost is found out again

    def remember_ram(self, name: str, ram: int) -> None:
        """Remember that the unit `name` needs `ram` bytes."""
        known = self.ram()
        if known.get(name, 0) < ram:
            durable.write(self._hints, msgspec.json.encode(known | {name: ram}))


def _record_name(arch: Arch, publication: Publication) -> str:
    return str(RecordName(arch.apk, publication.name, publication.key, publication.result))


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _read(path: Path, limit: int) -> bytes:
    """Return the bytes of a file, one more than `limit` at most."""
    with path.open("rb") as file:
        return file.read(limit + 1)
