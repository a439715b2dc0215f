"""What a unit gets along an edge that is dropped to open a cycle.

The first time that is a repository's package. Whoever is built again gets what its record has there,
so that a rerun changes nothing; a second round takes what the store has meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from dag.core.build.bootstrap import Dropped, Holder
from dag.core.graph.graph import Graph
from dag.core.store.records import Built, Inputs, Record
from dag.core.store.shelf import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleEdges:
    """The finished units before a run, and who gives what along the edges that the run drops."""

    graph: Graph
    records: Mapping[str, Record]
    """The records that count, by package."""
    fingerprints: Mapping[str, str]
    """The fingerprints of today's definitions, by package."""
    shelf: Shelf
    """The packages of these records."""
    find: Callable[[str, str], Built | None]
    """Returns the package of the store with this name and SHA-256."""
    is_second: bool
    """Whether this is a second round."""

    def replaced(self, record: Record) -> tuple[str, ...]:
        """Return what a repository gave to a unit to open a cycle, and a second round has of ours."""
        dropped = record.inputs.dropped if record.inputs is not None else ()
        if not (self.is_second and dropped) or record.name not in self.fingerprints:
            return ()
        return tuple(name for name in dropped if self._gives(self.shelf, record.name, name))

    def held(self, package: str, dropped: Collection[str]) -> dict[str, Shelf]:
        """Return from where the store gives names to a unit; a repository gives those not in there."""
        found: dict[str, Shelf] = {}
        if (inputs := self._inputs_before(package)) is not None:
            mine = [name for name in dropped if name not in inputs.dropped]
            before = self._environment(inputs) if mine else Shelf()
            found = {name: before for name in mine if self._gives(before, package, name)}
        if self.is_second:
            for name in dropped:
                if name not in found and self._gives(self.shelf, package, name):
                    found[name] = self.shelf
        return found

    def told(self, dropped: Iterable[Dropped]) -> tuple[Dropped, ...]:
        """Return edges that a plan drops, each with who gives what it needs."""
        names: dict[str, list[str]] = {}
        for one in dropped:
            names.setdefault(one.package, []).append(one.name)
        held = {package: self.held(package, each) for package, each in names.items()}
        return tuple(
            Dropped(package, name, Holder.STORE if name in held[package] else Holder.REPOSITORY)
            for package, each in names.items()
            for name in each
        )

    def _inputs_before(self, package: str) -> Inputs | None:
        """Return what went into the unit of today's definition; None if nobody knows."""
        record = self.records.get(package)
        is_same = record and record.fingerprint == self.fingerprints.get(package)
        return record.inputs if record and is_same else None

    def _environment(self, inputs: Inputs) -> Shelf:
        """Return the packages that a unit had, as they were; none of them if one is gone."""
        shelf = Shelf()
        found = [self.find(name, digest) for name, digest in inputs.environment.items()]
        shelf.add(one for one in found if one is not None and None not in found)
        return shelf

    def _gives(self, shelf: Shelf, package: str, name: str) -> bool:
        return shelf.get(self.graph.provider_for(package)(name) or name) is not None
