"""What goes into a unit: its key is made of that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

import msgspec
from msgspec import UNSET, Struct

from dag.core.build.served import ServedPackages, choose_served
from dag.core.graph.graph import Graph
from dag.core.package.apkindex import PackageRepository, read_index
from dag.core.package.model import Package, bare_name
from dag.core.store.records import Built, Inputs, Record, RepositoryPackage
from dag.core.store.shelf import Shelf, lacking_names, packages_to_install


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


class Shared(Struct, frozen=True, kw_only=True):
    """What all units of a run have."""

    arch: str
    common: str
    """The hash of the common files."""
    variables: tuple[str, ...]
    script: str
    """The hash of the script that builds."""
    melange: str
    """The melange that builds; empty if nobody knows."""


class UnitInputs:
    """The inputs of the units of a graph."""

    def __init__(
        self,
        graph: Graph,
        shared: Shared,
        *,
        fingerprints: Mapping[str, str],
        epochs: Mapping[str, int],
        repository: Callable[[str], PackageRepository],
    ) -> None:
        """Take the graph, and what goes into its units besides packages.

        `fingerprints` are those of the definitions and `epochs` the times of units, by package;
        `repository` returns what the repositories of a package's environment list.
        """
        self._graph = graph
        self._shared = shared
        self._fingerprints = fingerprints
        self._epochs = epochs
        self._repository = repository

    def served(self, package: Package, environment: Mapping[str, Built]) -> ServedPackages:
        """Return what such a unit takes from repositories."""
        listed = self._repository(package.name)
        if not listed.entries:
            return ServedPackages()
        given = [entry for one in environment.values() for entry in read_index(one.apk.stanza)]
        return choose_served(self._graph.supply_of(package.name).needs(package), given, listed)

    def own(self, package: Package) -> str:
        """Return the hash of what goes into a unit besides packages."""
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
        return own.digest

    def of(
        self,
        package: Package,
        environment: Mapping[str, Built],
        dropped: Iterable[str] = (),
        served: ServedPackages | None = None,
    ) -> Inputs:
        """Return all that goes into a unit whose environment has these packages of the store.

        `dropped` are names that a repository gives instead of the store; `served` is what `served`
        has returned for it.
        """
        served = self.served(package, environment) if served is None else served
        return Inputs(
            own=self.own(package),
            environment={name: one.apk.sha256 for name, one in sorted(environment.items())},
            repository=tuple(
                RepositoryPackage(one.name, one.version, one.checksum) for one in served.packages
            ),
            dropped=tuple(sorted(dropped)),
            open=served.open,
            melange=self._shared.melange or UNSET,
        )

    def environment(
        self,
        package: Package,
        shelf: Shelf,
        dropped: Collection[str] = (),
        held: Mapping[str, Shelf] = MappingProxyType({}),
    ) -> dict[str, Built]:
        """Return what the environment of a unit has of the store's packages on `shelf`, by name.

        `dropped` are names that a repository gives instead, unless they are `held` on other shelves.
        A package never gets its own packages: make would take an old one for built.
        """
        needs = [need.text for need in package.environment]
        # What apko takes for one need can depend on another, so that each alone would not tell.
        settled = self._graph.settled(package.name)
        apart = {*dropped, *held}
        wanted = (text for text in (*needs, *settled) if bare_name(text) not in apart)
        provider = self._graph.provider_for(package.name)
        available = self._repository(package.name).names
        given = packages_to_install(wanted, shelf, provider, package.promised, available)
        for other in {id(one): one for one in held.values()}.values():
            its = [text for text in (*needs, *settled) if held.get(bare_name(text)) is other]
            more = packages_to_install(its, other, provider, package.promised, available)
            given = {**more, **given}
        return given

    def lacking(
        self, package: Package, environment: Mapping[str, Built], shelf: Shelf
    ) -> dict[str, str]:
        """Return what packages of an environment turned out to need and nobody is known to give.

        Each name has a package that needs it.
        """
        available = self._repository(package.name).names
        return lacking_names(environment, shelf, self._graph.provider_for(package.name), available)

    def is_unchanged(self, package: Package, record: Record, shelf: Shelf) -> bool | None:
        """Return whether a record is of what would go into its unit today; None if nobody knows."""
        if record.inputs is None:
            return None
        was = record.inputs
        given = self.environment(package, shelf, was.dropped)
        today = self.of(package, given, was.dropped)
        is_known = UNSET not in (was.melange, today.melange)
        melange = today.melange if is_known else was.melange
        if msgspec.structs.replace(today, open=was.open, melange=melange).key != record.key:
            return False
        # What melange got by itself, nobody knows.
        return True if is_known and not (was.open or today.open) else None

    def epoch(self, name: str) -> int:
        """Return the SOURCE_DATE_EPOCH of a package's unit, in seconds since 1970."""
        return self._epochs.get(name, 0)
