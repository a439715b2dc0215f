"""The runs of a store: of each one its journal, its result and its logs stay.

They are written on this machine, line by line. In a store that is a directory that is their place;
into a bucket goes a log when its attempt has ended, and the journal again and again. Of a run as Jobs
the journal comes at its end; until then the store has which results it goes on with.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct
from msgspec.structs import replace

from dag.core.decoding import Undecodable
from dag.core.limits import BUILD_LOG, RECORD
from dag.core.store.layout import RUNS, RunNames, is_run_id, make_run_id
from dag.core.store.publication import FixedResult, decode_fixed, encode_fixed
from dag.core.store.records import Record
from dag.io import durable
from dag.io.removal import remove
from dag.io.store.objects import Objects, insist, read_each

_SILENT = 120.0
"""Seconds after which a run on another machine is dead that has written nothing into its bucket."""


class Run(Struct, frozen=True):
    """What is kept of one run for one architecture."""

    objects: Objects
    state: Path
    """The directory in which it is written, or was."""
    names: RunNames
    journal: Path
    """The path of its journal on this machine."""
    is_far: bool
    """Whether what is written has to be brought into a bucket."""
    goes_on_with: str = ""
    """The run in the store of a cluster that it goes on with; empty if there is none."""

    @property
    def id(self) -> str:
        """Return the run's id."""
        return self.names.run

    @property
    def known(self) -> RunNames:
        """Return the names by which others find it: in the store of a cluster it may have another id."""
        return RunNames(self.goes_on_with or self.id, self.names.arch)

    @property
    def address(self) -> str:
        """Return the path or the URL of its journal, for messages."""
        return self.objects.address(self.names.journal) if self.is_far else str(self.journal)

    def log(self, unit: str) -> Path:
        """Return the path of a unit's log on this machine."""
        return self.state / self.names.log(unit)

    def keep_log(self, unit: str) -> None:
        """Bring a unit's log, as far as it is written, into the store."""
        if self.is_far:
            insist(lambda: self.objects.upload(self.names.log(unit), self.log(unit)))

    def keep_journal(self) -> None:
        """Bring the journal, as far as it is written, into the store."""
        if self.is_far:
            insist(lambda: self.objects.upload(self.names.journal, self.journal))

    def keep_result(self, data: bytes) -> None:
        """Write the result as JSON; after that nothing more comes."""
        insist(lambda: self.objects.write(self.names.result, data))
        if self.is_far:
            remove(self.state / RUNS / self.id)

    def fix_result(self, record: Record, *, anew: bool = False) -> str:
        """Return the result of a record's key that this run goes on with: that of who asks first.

        With `anew` it is that of this record, whatever was there.
        """
        name = self.names.result_of(record.key)
        mine = encode_fixed(FixedResult(name=record.name, result=record.result))
        if anew:
            self.objects.write(name, mine)
        elif not self.objects.create(name, mine):
            found = self.objects.read(name, RECORD)
            with suppress(Undecodable):
                return decode_fixed(found.data if found is not None else mine).result
            self.objects.write(name, mine)
        return record.result

    def fixed_results(self) -> dict[str, str]:
        """Return the results that `fix_result` has fixed, by unit."""
        names = self.objects.names(self.names.results)
        each = read_each(self.objects, names, RECORD, decode_fixed)
        return {one.name: one.result for _, one in each if isinstance(one, FixedResult)}

    def has_ended(self) -> bool:
        """Return whether its result is kept, which is the last that comes of it."""
        return self.objects.look(self.names.result) is not None

    def says_it_lives(self) -> bool:
        """Return whether the journal in a bucket was written a short while ago."""
        found = self.objects.look(self.names.journal) if self.is_far else None
        return found is not None and found.age < _SILENT

    def has_log(self, unit: str) -> bool:
        """Return whether there is a log of a unit."""
        return self.log(unit).is_file() or self.objects.look(self.names.log(unit)) is not None

    @contextmanager
    def brought(self, path: Path, name: str) -> Iterator[Path]:
        """Return where a journal or a log can be read: as it is written, or a copy of the object.

        Raises:
            FileNotFoundError: it is not there.

        """
        if path.exists() or not self.is_far:
            yield path
            return
        with TemporaryDirectory(prefix="dag-") as place:
            copy = Path(place, path.name)
            self.objects.download(name, copy, BUILD_LOG)
            yield copy


def new_run_id() -> str:
    """Return the id of a run that begins now, which no other has."""
    return make_run_id(time.time(), secrets.token_hex(2)[:3])


class Runs:
    """The runs of one architecture."""

    def __init__(
        self, objects: Objects, state: Path, arch: str, links: Path, *, is_far: bool
    ) -> None:
        """Take the objects of the store, the directory in which runs are written, and that of links."""
        self._objects = objects
        self._state = state
        self._arch = arch
        self._links = links
        self._is_far = is_far
        self._old = state / f"journal-{arch}.jsonl"
        """The journal of the only run that earlier versions kept."""

    def begin(self, name: str = "", goes_on_with: str = "") -> Run:
        """Make the place of a run that begins now, with this id, or with a new one."""
        self._keep_old()
        run = replace(self.of(name or new_run_id()), goes_on_with=goes_on_with)
        run.log("").parent.mkdir(parents=True)
        return run

    def log(self, run: Run, unit: str) -> Path:
        """Return the path of a unit's log in a run, to which a link now leads."""
        target, link = run.log(unit), self._links / f"{unit}.log"
        temporary = link.with_name(f"{durable.TEMPORARY}{secrets.token_hex(8)}")
        temporary.symlink_to(os.path.relpath(target, link.parent))
        temporary.replace(link)
        return target

    def all(self) -> Iterator[Run]:
        """Yield all runs, the latest first."""
        for name in sorted(filter(is_run_id, self._objects.folders(RUNS)), reverse=True):
            run = self.of(name)
            if self._objects.look(run.names.journal) is not None:
                yield run
        if self._old.exists():
            yield self.of(self._old_id(), self._old)

    def unfinished(self) -> Iterator[Run]:
        """Yield the runs that began after the last one that has ended, the latest first.

        A run as Jobs has no journal in its store before it ends.
        """
        for name in sorted(filter(is_run_id, self._objects.folders(RUNS)), reverse=True):
            run = self.of(name)
            if run.has_ended():
                return
            yield run
        if self._old.exists():
            yield self.of(self._old_id(), self._old)

    def early(self, words: str = "") -> Run | None:
        """Return the newest run whose id begins so, if it has no journal yet: Jobs bring it at the end."""
        names = sorted(filter(is_run_id, self._objects.folders(RUNS)), reverse=True)
        name = next((one for one in names if one.startswith(words)), None)
        run = None if name is None else self.of(name)
        has_journal = run is not None and self._objects.look(run.names.journal) is not None
        return None if has_journal else run

    def latest_with_log(self, unit: str) -> Run | None:
        """Return the latest run that has a log of a unit; None if there is none."""
        return next((run for run in self.all() if run.has_log(unit)), None)

    def old_log(self, unit: str) -> Path:
        """Return the path of a unit's log as earlier versions wrote it."""
        return self._state / "logs" / self._arch / f"{unit}.log"

    def keep_left(self) -> None:
        """Bring what is left of runs that were killed on this machine into their bucket."""
        if not self._is_far:
            return
        folder = self._state / RUNS
        for path in folder.rglob("*"):
            name = str(path.relative_to(self._state))
            if path.is_file():
                insist(partial(self._objects.upload, name, path))
        remove(folder)

    def of(self, name: str, journal: Path | None = None) -> Run:
        """Return the run with this id, whether it is there or not."""
        names = RunNames(name, self._arch)
        path = journal or self._state / names.journal
        return Run(self._objects, self._state, names, path, self._is_far)

    def _old_id(self) -> str:
        return make_run_id(self._old.stat().st_mtime, "000")

    def _keep_old(self) -> None:
        """Make a run of the journal that an earlier version wrote."""
        with suppress(FileNotFoundError):
            run = self.of(self._old_id())
            run.log("").parent.mkdir(parents=True, exist_ok=True)
            durable.rename(self._old, run.journal)
