"""The records of a store for one architecture, as objects are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dag.core.decoding import Undecodable
from dag.core.limits import RECORD
from dag.core.store.layout import RECORDS, read_record_name
from dag.core.store.records import Record, decode_record
from dag.io.store.objects import Objects, read_each


class StoredRecords:
    """The records of one architecture."""

    def __init__(self, objects: Objects, arch: str) -> None:
        """Take the objects of the store."""
        self._objects = objects
        self._arch = arch
        self.accepts: Callable[[Record], bool] = lambda _: True
        """Tells whether a record counts, for whoever does not trust all that a store has."""
        self.unaccepted: set[tuple[str, str]] = set()
        """The names and versions of units of which it has refused a record."""
        self._listed: dict[str, set[str]] | None = None
        """The names of all records by the unit's name, where it would take long to list each unit's."""

    def list_all(self) -> None:
        """List all names at once; from then on `of` yields those that were there."""
        names: dict[str, set[str]] = {}
        for one in self._objects.list(f"{RECORDS}/{self._arch}"):
            if (parts := read_record_name(one.name)) is not None:
                names.setdefault(parts.name, set()).add(one.name)
        self._listed = names

    def add(self, record: Record, name: str) -> None:
        """Count a record that has just been written."""
        if self._listed is not None:
            self._listed.setdefault(record.name, set()).add(name)

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Record | str | None]]:
        """Yield records by their names; see `read_each`."""
        return read_each(self._objects, names, RECORD, self._decode)

    def _decode(self, data: bytes) -> Record:
        record = decode_record(data)
        if not self.accepts(record):
            self.unaccepted.add((record.name, record.version))
            raise Undecodable("nobody who is trusted has attested it")
        return record

    def of(self, name: str, key: str = "") -> Iterator[Record]:
        """Yield all records of a unit; with `key` only those of it. One that is damaged counts for nothing.

        `dag store verify` tells of it.
        """
        folder = f"{RECORDS}/{self._arch}/{name}"
        if self._listed is not None and not key:
            names = iter(sorted(self._listed.get(name, ())))
        else:
            names = self._objects.names(f"{folder}/{key}" if key else folder)
        for _, record in self.read(one for one in names if read_record_name(one) is not None):
            if isinstance(record, Record):
                yield record
