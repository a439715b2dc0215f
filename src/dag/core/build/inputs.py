"""What goes into a unit: its key is made of that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from dag.core.graph.graph import Graph
from dag.core.package.model import Package
from dag.core.store.records import Built, Inputs, RepositoryPackage


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
        checksums: Mapping[tuple[str, str], str],
    ) -> None:
        """Take the graph, and what goes into its units besides packages.

        `fingerprints` are those of the definitions and `epochs` the times of units, by package;
        `checksums` are those of the packages of repositories, by name and version.
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
            repository=tuple(sorted({*self._from_repositories(package)})),
            dropped=tuple(sorted(dropped)),
        )

    def epoch(self, name: str) -> int:
        """Return the SOURCE_DATE_EPOCH of a package's unit, in seconds since 1970."""
        return self._epochs.get(name, 0)

    def _from_repositories(self, package: Package) -> Iterable[RepositoryPackage]:
        installs = self._graph.installs
        for number in installs.walk(self._units[package.name]):
            if installs.owner(number) is None:
                one = installs.candidates[number]
                checksum = self._checksums.get((one.name, one.version), "")
                yield RepositoryPackage(one.name, one.version, checksum)
