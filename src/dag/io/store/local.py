"""The local store: finished packages by architecture, and their records.

```
STORE/ARCH/NAME-VERSION-rEPOCH.apk, APKINDEX.tar.gz     a repository, as make leaves it
STORE/logs/ARCH/NAME.log                                the log of the latest attempts
STORE/.dag/records/ARCH/NAME-VERSION-rEPOCH.json        a unit is finished when this is there
STORE/.dag/promote/ARCH/…                               a unit on its way in
STORE/.dag/work/…                                       workspaces; those of a dead run are removed
```

A unit comes in as a whole: its files and its record are made ready in `promote` under a temporary
name, and the unit is finished from the moment at which that directory is renamed. The steps after
that can be repeated, and whoever opens the store next repeats them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from dag.core.arch import Arch
from dag.core.decoding import Undecodable, decode
from dag.core.package.apk import BrokenPackage, index_archive
from dag.core.package.model import Package
from dag.core.store.records import MAX_BYTES, Built, Record, decode_record, encode_record
from dag.errors import InfrastructureError
from dag.io import durable
from dag.io.package.apk import read_proven
from dag.io.store.lock import Lock

STATE = ".dag"
_TEMPORARY = ".tmp"
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
        self.work = self.state / "work"
        self.logs = root / "logs" / arch.apk
        self.journal = self.state / f"journal-{arch.apk}.jsonl"
        self._promote = self.state / "promote" / arch.apk
        self._records = self.state / "records" / arch.apk
        self._hints = self.state / f"hints-{arch.apk}.json"
        self.lock_path = self.state / "lock"
        self.lock = Lock(self.lock_path, what=f"the store {root}")
        self.records: dict[tuple[str, str], Record] = {}
        """The records by the unit's name and version."""

    def prepare(self) -> None:
        """Make the directories, so that the lock can be taken.

        Raises:
            InfrastructureError: they cannot be made.

        """
        try:
            for directory in (self.packages, self.work, self.logs, self._promote, self._records):
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfrastructureError(
                f"the store {self.root} cannot be made: {error.strerror}",
                hint="name another directory with --store",
            ) from error

    def recover(self, say: Callable[[str], None]) -> None:
        """Bring in the units that a dead run had finished, remove its other files, read the records.

        The lock must be held, and no process of the dead run may be alive. `say` is told of records
        that are damaged.
        """
        for left in self.work.iterdir():
            remove(left)
        for left in self.packages.glob(".tmp-*"):
            left.unlink()
        for staged in sorted(self._promote.iterdir()):
            if staged.name.endswith(_TEMPORARY):
                remove(staged)
            else:
                known = map(_read_record, self._records.glob("*.json"))
                self._finish(staged, [one for one in known if isinstance(one, Record)])
        for path in self.read():
            record = _read_record(path)
            if not isinstance(record, Record):
                say(
                    f"{path} is damaged ({record}) and is removed; its packages stay, and count as "
                    "if make had built them"
                )
            remove(path)

    def read(self) -> list[Path]:
        """Read the records, which needs no lock; return the files that are worth nothing any more."""
        worthless = []
        for path in sorted(self._records.glob("*.json")):
            record = _read_record(path)
            if not isinstance(record, Record) or not self._is_there(record):
                worthless.append(path)
            else:
                self.records[record.name, record.version] = record
        return worthless

    def _is_there(self, record: Record) -> bool:
        for file, apk in record.files.items():
            try:
                if (self.packages / file).stat().st_size != apk.size:
                    return False
            except FileNotFoundError:
                return False
        return True

    def adopt(
        self, packages: Iterable[Package], say: Callable[[str], None], *, keep: bool = True
    ) -> None:
        """Take in the units that make has left here: complete ones that have no record.

        With `keep` they get one; the lock must then be held. `say` is told of packages that are not
        what their names promise.
        """
        there = {path.name for path in self.packages.glob("*.apk") if path.is_file()}
        for package in packages:
            version = package.full_version
            files = [f"{name}-{version}.apk" for name in package.promised]
            if (package.name, version) in self.records or not there.issuperset(files):
                continue
            try:
                built = tuple(
                    Built(apk=read_proven(self.packages / file, name, package, self.arch))
                    for name, file in zip(package.promised, files, strict=True)
                )
            except BrokenPackage as error:
                say(
                    f"the packages of {package.name} {version} in the store do not count, and are "
                    f"built again: {error}"
                )
                continue
            record = Record(
                name=package.name, version=version, fingerprint="", seconds=0, built=built
            )
            self.records[record.name, record.version] = record
            if keep:
                durable.write(self._record_path(record), encode_record(record))

    def promote(self, record: Record, files: Mapping[str, Path]) -> None:
        """Take in a proven unit as a whole; `files` are its packages by name, elsewhere on the disk.

        Raises:
            OSError: there is no room, for example; then nothing of the unit is in the store.

        """
        name = f"{record.name}-{record.version}"
        staged = self._promote / f"{name}{_TEMPORARY}"
        remove(staged)
        staged.mkdir()
        for file, source in files.items():
            durable.link(source, staged / file)
            durable.sync(staged / file)
        durable.write(staged / "record.json", encode_record(record))
        final = self._promote / name
        staged.rename(final)
        durable.sync(self._promote)
        for lost in self._finish(final, self.records.values()):
            del self.records[lost.name, lost.version]
        self.records[record.name, record.version] = record

    def _finish(self, staged: Path, known: Iterable[Record]) -> list[Record]:
        """Bring a unit in; return those of the `known` records that are not true any more.

        A package may have moved from one definition to another. Then its file belongs to the new
        one.
        """
        record = _read_record(staged / "record.json")
        if not isinstance(record, Record):
            remove(staged)  # another version of dag wrote it; its packages are built again
            return []
        path = self._record_path(record)
        old = _read_record(path)
        others = [one for one in known if self._record_path(one) != path]
        lost = [one for one in others if not one.files.keys().isdisjoint(record.files)]
        for one in lost:
            self._record_path(one).unlink(missing_ok=True)
        for file in record.files:
            durable.place(staged / file, self.packages / file)
        before = old.files if isinstance(old, Record) else ()
        gone = set(before).difference(record.files, *(one.files for one in others))
        for file in gone:
            (self.packages / file).unlink(missing_ok=True)
        durable.sync(self.packages)
        durable.place(staged / "record.json", self._record_path(record))
        durable.sync(self._records)
        # Half removed it could not be brought in again, so its name must not say that it can.
        done = staged.with_name(f"{staged.name}{_TEMPORARY}")
        staged.rename(done)
        remove(done)
        return lost

    def _record_path(self, record: Record) -> Path:
        return self._records / f"{record.name}-{record.version}.json"

    def write_index(self, sign: Callable[[Path], None], *, anew: bool = False) -> Path:
        """Write the index of all packages in the store; `sign` adds a signature to the file.

        An index that already says the same stays as it is, with its signature, unless `anew` asks
        for a new one.
        """
        apks = [one.apk for record in self.records.values() for one in record.built]
        index = self.packages / "APKINDEX.tar.gz"
        unsigned = index_archive(apks)
        before = index.read_bytes() if index.exists() else b""
        if before.endswith(unsigned) and before != unsigned and not anew:
            return index
        temporary = self.work / index.name
        temporary.write_bytes(unsigned)
        sign(temporary)
        if temporary.read_bytes() != before:
            durable.write(index, temporary.read_bytes())
        temporary.unlink()
        return index

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


def _read(path: Path, limit: int) -> bytes:
    """Return the bytes of a file, one more than `limit` at most."""
    with path.open("rb") as file:
        return file.read(limit + 1)


def _read_record(path: Path) -> Record | str:
    """Return the record in a file, or why there is none."""
    try:
        return decode_record(_read(path, MAX_BYTES))
    except OSError as error:
        return error.strerror or str(error)
    except Undecodable as error:
        return str(error)


def remove(path: Path) -> None:
    """Remove a file or a tree, even one in which a build has taken away its own rights."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
        return
    if not path.exists():
        return

    def again(_: object, failed: str, _error: object) -> None:
        parent = Path(failed).parent
        parent.chmod(0o700)
        if Path(failed).is_dir() and not Path(failed).is_symlink():
            Path(failed).chmod(0o700)
            shutil.rmtree(failed)
        else:
            Path(failed).unlink(missing_ok=True)

    shutil.rmtree(path, onerror=again)
