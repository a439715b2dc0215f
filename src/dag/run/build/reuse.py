"""The finished units that a run can go on from: those of its store, and those of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from dag.core.graph.graph import Graph
from dag.core.package.model import Package
from dag.core.store.records import Built, Record, choose_records
from dag.core.store.shelf import Shelf
from dag.io.store.local import Store
from dag.io.store.sharing import take_from


class FinishedUnits(Struct, frozen=True):
    """The records that count."""

    records: Mapping[str, Record]
    """By package: the one of today's definition, else of today's version, else of the highest."""
    taken: frozenset[str]
    """The packages whose records come from another store."""
    same: frozenset[str] = frozenset()
    """The packages of which the store has today's version, built from today's definition."""

    def shelf(self, packages: Iterable[Package], elsewhere: frozenset[str]) -> Shelf:
        """Return the packages that environments may have.

        Of what a repository has in the version of today's `packages`, which are then `elsewhere`,
        older ones are not used.
        """
        versions = {package.name: package.full_version for package in packages}
        shelf = Shelf()
        for name, record in self.records.items():
            if record.version == versions.get(name) or name not in elsewhere:
                shelf.add(record.built)
        return shelf


def built_finder(graph: Graph, store: Store) -> Callable[[str, str], Built | None]:
    """Return what finds a package in a store by its name and its SHA-256."""

    def find(name: str, digest: str) -> Built | None:
        origin = graph.origin(name)
        records = store.records_of(origin.name) if origin is not None else ()
        each = (one for record in records for one in record.built)
        return next((one for one in each if (one.apk.name, one.apk.sha256) == (name, digest)), None)

    return find


def find_finished(
    store: Store,
    others: Sequence[Store],
    packages: Sequence[Package],
    wanted: Iterable[Package],
    fingerprints: Mapping[str, str],
) -> FinishedUnits:
    """Return the records of a store that count for `packages`, by the prints of their definitions.

    What it does not have of those that are `wanted` comes from `others`, the first one first, if
    they have it of the same definition. It becomes a part of the store if that is locked.

    Raises:
        InfrastructureError: a package of another store is not what its record says.
        OSError: there is no room, for example.

    """
    versions = {package.name: package.full_version for package in packages}
    records = choose_records(store.records.values(), versions)
    same = set()
    for name, version in versions.items():
        found = store.find(name, version, fingerprints.get(name, ""))
        if found is not None:
            records[name] = found
            same.add(name)
    taken = set()
    for package in wanted if others else ():
        name = package.name
        if name in same or not fingerprints.get(name):
            continue
        for other in others:
            found = other.find(name, package.full_version, fingerprints[name])
            if found is not None and found.fingerprint:
                if store.lock.held:
                    take_from(store, other, found)
                records[name] = found
                taken.add(name)
                break
    return FinishedUnits(records, frozenset(taken), frozenset(same))
