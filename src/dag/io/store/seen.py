"""What whoever builds here has seen proven: it attests that to a signer, and nothing else.

A line is the hash of what is published of a unit. It is written when the unit is proven, and before the store
has it: of what is finished and was not remembered, nobody could ever say who has proven it.
"""

from __future__ import annotations

from pathlib import Path

from dag.core.limits import RECORD
from dag.core.store.records import Record
from dag.core.store.requests import facts_of
from dag.errors import InfrastructureError
from dag.io import durable
from dag.io.files import read_bytes
from dag.io.store.local import Store
from dag.io.store.ownkey import seen_path


class SeenRecords:
    """The records of one store and architecture that were seen when they were proven."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, store: Store) -> SeenRecords:
        """Return those of a store.

        Raises:
            InfrastructureError: the store has no name.

        """
        return cls(seen_path(store))

    def add(self, record: Record) -> None:
        """Remember a record.

        Raises:
            InfrastructureError: it cannot be written.

        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_new = not self._path.exists()
            with self._path.open("a") as file:
                # Whoever lost power while writing has left half a line.
                file.write(f"\n{facts_of(record)}\n")
            durable.sync(self._path)
            if is_new:
                durable.sync(self._path.parent)
        except OSError as error:
            raise InfrastructureError(
                f"what was proven cannot be remembered in {self._path}: {error.strerror}",
                hint="set $XDG_DATA_HOME to a directory of your own",
            ) from error

    def all(self) -> frozenset[str]:
        """Return the hashes of all of them; see `facts_of`.

        Raises:
            InfrastructureError: they cannot be read.

        """
        try:
            return frozenset(read_bytes(self._path, RECORD).decode(errors="replace").split())
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise InfrastructureError(f"{self._path}: {error.strerror}") from error
