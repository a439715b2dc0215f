"""What goes into a unit: its key is made of that."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from dag.core.graph.graph import Graph
from dag.core.package.model import Package, bare_name
from dag.core.store.records import (
    Built,
    Inputs,
    Record,
    RepositoryPackage,
    packages_to_install,
)


class OwnInputs(Struct, frozen=True, kw_only=True):
    """The inputs of a unit that are not packages."""

    name: str
    version: str
    arch: str
    definition: str
    """The hash of its definition with the checksums of its sources, its folder and its pipelines."""
    common: str
    """The hash of the files that all units have."""
    variables: tuple[str, ...]
    """Assignments for make, and what else `dag` passes on."""
    script: str
    """The hash of the script that builds."""
    epoch: int
    """Its SOURCE_DATE_EPOCH, in seconds since 1970."""

    @property
    def digest(self) -> str:
        """Return the hash of all that, in hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all units of a run have."""

    arch: str
    common: str
    """The hash of the common files."""
    variables: tuple[str, ...]
    script: str
    """The hash of the script that builds."""


class UnitInputs:
    """The inputs of the units of a graph."""

    def __init__(
        self,
        graph: Graph,
        shared: Shared,
        *,
        fingerprints: Mapping[str, str],
        epochs: Mapping[str, int],
        checksums: Mapping[tuple[str, str, str], str],
    ) -> None:
        """Take the graph, and what goes into its units besides packages.

        `fingerprints` are those of the definitions and `epochs` the times of units, by package;
        `checksums` are those of packages, by repository, name and version.
        """
        self._graph = graph
        self._shared = shared
        self._fingerprints = fingerprints
        self._epochs = epochs
        self._checksums = checksums
        self._units = {package.name: unit for unit, package in enumerate(graph.packages)}

    def of(
        self, package: Package, environment: Mapping[str, Built], dropped: Iterable[str] = ()
    ) -> Inputs:
        """Return all that goes into a unit whose environment has these packages of the store.

        `dropped` are names that a repository gives instead of the store.
        """
        own = OwnInputs(
            name=package.name,
            version=package.full_version,
            arch=self._shared.arch,
            definition=self._fingerprints.get(package.name, ""),
            common=self._shared.common,
            variables=self._shared.variables,
            script=self._shared.script,
            epoch=self.epoch(package.name),
        )
        return Inputs(
            own=own.digest,
            environment={name: one.apk.sha256 for name, one in sorted(environment.items())},
            repository=tuple(sorted({*self._from_repositories(package, {*dropped})})),
            dropped=tuple(sorted(dropped)),
        )

    def environment(
        self, package: Package, shelf: Mapping[str, Built], dropped: Collection[str] = ()
    ) -> dict[str, Built]:
        """Return what the environment of a unit has of the store's packages in `shelf`, by name.

        `dropped` are names that a repository gives instead. A package never gets its own packages:
        make would take an old one for built.
        """
        needs = [need.text for need in package.environment]
        # What apko takes for one need can depend on another, so that each alone would not tell.
        settled = self._graph.settled(package.name)
        wanted = (text for text in (*needs, *settled) if bare_name(text) not in dropped)
        provider = self._graph.provider_for(package.name)
        return packages_to_install(wanted, shelf, provider, package.promised)

    def is_unchanged(
        self, package: Package, record: Record, shelf: Mapping[str, Built]
    ) -> bool | None:
        """Return whether a record is of what would go into its unit today; None if nobody knows."""
        if record.inputs is None:
            return None
        dropped = record.inputs.dropped
        given = self.environment(package, shelf, dropped)
        return self.of(package, given, dropped).key == record.key

    def epoch(self, name: str) -> int:
        """Return the SOURCE_DATE_EPOCH of a package's unit, in seconds since 1970."""
        return self._epochs.get(name, 0)

    def _from_repositories(
        self, package: Package, dropped: Collection[str]
    ) -> Iterable[RepositoryPackage]:
        installs = self._graph.installs
        for number in installs.walk(self._units[package.name]):
            if installs.owner(number) is None:
                one = installs.candidates[number]
                checksum = self._checksums.get((one.repository, one.name, one.version), "")
                yield RepositoryPackage(one.name, one.version, checksum)
        for (_, name, version), checksum in self._checksums.items() if dropped else ():
            if name in dropped:
                yield RepositoryPackage(name, version, checksum)
