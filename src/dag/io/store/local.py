"""The local store: finished packages by architecture, and what is known of them.

```
STORE/ARCH/NAME-VERSION-rEPOCH.apk, APKINDEX.tar.gz     a repository, as make leaves it
STORE/logs/ARCH/NAME.log                                the log of the latest attempts
STORE/.dag/records/ARCH/NAME-VERSION-rEPOCH.json        a unit is finished when this is there
STORE/.dag/promote/ARCH/…                               a unit on its way in
STORE/.dag/work/…                                       workspaces; whatever a dead run left goes
```

A unit comes in as one: its files and its record are made ready in `promote` under a temporary name,
and renaming that directory is the moment from which it is finished. What follows can be repeated,
and is, by the next one who opens the store.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from dag.core.arch import Arch
from dag.core.build.records import Built, Record
from dag.core.package.apk import BrokenPackage, index_archive
from dag.core.package.model import Package
from dag.errors import InfrastructureError
from dag.io import durable
from dag.io.package.apk import read_proven
from dag.io.store.lock import Lock

STATE = ".dag"
_TEMPORARY = ".tmp"


class Store:
    """An open store, of one architecture; only its holder changes it."""

    def __init__(self, root: Path, arch: Arch) -> None:
        """Name the store; `open` makes it usable."""
        # Builds run in other directories, and melange in ones that must not be behind a link.
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
        """By the unit's name and version."""

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
                hint="use another --store",
            ) from error

    def recover(self, say: Callable[[str], None]) -> None:
        """Finish what a dead run had promised, remove what it had not, and read the records.

        The lock must be held, and nothing of the dead run may be alive.
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
                self._finish(staged, [record for record in known if record is not None])
        for path in self.read():
            if _read_record(path) is None:
                say(f"{path} is damaged and goes: its packages count as make's, of unknown origin")
            remove(path)

    def read(self) -> list[Path]:
        """Read the records, which needs no lock; answers those that are worth nothing (any more)."""
        worthless = []
        for path in sorted(self._records.glob("*.json")):
            record = _read_record(path)
            if record is None or not self._is_there(record):
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
        """Take in what make has left here: units that are complete but have no record.

        With `keep` they get one, for which the lock must be held.
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
                say(f"what the store has of {package.name} {version} does not count: {error}")
                continue
            record = Record(
                name=package.name, version=version, fingerprint="", seconds=0, built=built
            )
            self.records[record.name, record.version] = record
            if keep:
                durable.write(self._record_path(record), json.dumps(record.to_json()).encode())

    def promote(self, record: Record, files: Mapping[str, Path]) -> None:
        """Take in a proven unit, as a whole: `files` are its packages by name, elsewhere on disk.

        Raises:
            OSError: there is no room, or the like; then nothing of it is in the store.

        """
        name = f"{record.name}-{record.version}"
        staged = self._promote / f"{name}{_TEMPORARY}"
        remove(staged)
        staged.mkdir()
        for file, source in files.items():
            durable.link(source, staged / file)
            durable.sync(staged / file)
        durable.write(staged / "record.json", json.dumps(record.to_json()).encode())
        final = self._promote / name
        staged.rename(final)
        durable.sync(self._promote)
        for lost in self._finish(final, self.records.values()):
            del self.records[lost.name, lost.version]
        self.records[record.name, record.version] = record

    def _finish(self, staged: Path, known: Iterable[Record]) -> list[Record]:
        """Bring a unit in; answers those of the `known` records that are true no more.

        A package may have moved from one definition to another: then the file is the new one's.
        """
        record = _read_record(staged / "record.json")
        if record is None:
            remove(staged)  # of another version of dag: its packages are built again
            return []
        path = self._record_path(record)
        old = _read_record(path)
        others = [one for one in known if self._record_path(one) != path]
        lost = [one for one in others if not one.files.keys().isdisjoint(record.files)]
        for one in lost:
            self._record_path(one).unlink(missing_ok=True)
        for file in record.files:
            durable.place(staged / file, self.packages / file)
        gone = set(old.files if old else ()).difference(record.files, *(o.files for o in others))
        for file in gone:
            (self.packages / file).unlink(missing_ok=True)
        durable.sync(self.packages)
        durable.place(staged / "record.json", self._record_path(record))
        durable.sync(self._records)
        # Half removed it could not be finished again, so it must not look like something to finish.
        done = staged.with_name(f"{staged.name}{_TEMPORARY}")
        staged.rename(done)
        remove(done)
        return lost

    def _record_path(self, record: Record) -> Path:
        return self._records / f"{record.name}-{record.version}.json"

    def write_index(self, sign: Callable[[Path], None], *, anew: bool = False) -> Path:
        """Write the index of everything in the store; `sign` adds a signature to the file.

        An index that already says the same is left alone, its signature with it, unless that is
        to be made `anew`.
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
        """How long units took, by name; of several versions the one recorded last counts."""
        return {r.name: r.seconds for r in self.records.values() if r.seconds > 0}

    def ram(self) -> dict[str, int]:
        """Bytes that units turned out to need, by name."""
        try:
            data = json.loads(self._hints.read_bytes())
            return {str(name): int(value) for name, value in data.items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}  # only hints: what is lost is found out again

    def remember_ram(self, name: str, ram: int) -> None:
        """Remember that `name` needs `ram` bytes."""
        known = self.ram()
        if known.get(name, 0) < ram:
            durable.write(self._hints, json.dumps(known | {name: ram}).encode())


def _read_record(path: Path) -> Record | None:
    try:
        return Record.from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None


def remove(path: Path) -> None:
    """Remove a file or a tree, also one in which a build has taken its own rights away."""
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
