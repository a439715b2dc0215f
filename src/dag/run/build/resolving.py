"""What an attempt at a unit is made of, once all that it needs is there."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from dag.core.build.plan import Reason
from dag.core.build.served import ServedPackages
from dag.core.build.twice import is_second, package_of
from dag.core.package.model import Package, bare_name
from dag.core.store.records import Built, Inputs, Record
from dag.run.build.inputs import read_inputs
from dag.run.build.session import Build


class ResolvedUnit(Struct, frozen=True, kw_only=True):
    """A unit, and what goes into its next attempt."""

    package: Package
    given: dict[str, Built]
    """The packages that the store gives, by their names."""
    served: ServedPackages
    """The packages that repositories give."""
    inputs: Inputs
    lacking: Mapping[str, str]
    """What packages turned out to need and nobody is known to give → one that needs it."""
    first: Record | None = None
    """What the first build made, if this is the second one."""


class UnitResolver:
    """The units of a run, and the packages of the store that their environments may have."""

    def __init__(self, build: Build) -> None:
        """Take the units that are planned, and what is finished before."""
        basis, steps = build.basis, build.plan.steps
        self.graph = basis.graph
        self.inputs = read_inputs(basis, [step.package for step in steps])
        self.shelf = build.shelf()
        self.forced = frozenset(one.package.name for one in steps if one.reason is Reason.ASKED)
        """The packages that are built although the store may have just that."""
        self._store = basis.store
        self._edges = build.edges
        self._dropped: dict[str, set[str]] = {}
        """The needs that the plan drops, by package."""
        for one in build.plan.dropped:
            self._dropped.setdefault(one.package, set()).add(one.name)
        self._packages = {package.name: package for package in basis.graph.packages}
        self._resolved: dict[str, ResolvedUnit] = {}
        self._finished: dict[str, Record] = {}

    def resolve(self, key: str) -> ResolvedUnit:
        """Return what goes into a unit now, or into a second build: just what the first one had."""
        name = package_of(key)
        if is_second(key):
            return msgspec.structs.replace(self._resolved[name], first=self._finished[name])
        package = self._packages[name]
        dropped = frozenset(self._dropped.get(name, ()))
        held = self._edges.held(name, dropped)
        dropped = dropped.difference(held)
        given = self.inputs.environment(package, self.shelf, dropped, held)
        served = self.inputs.served(package, given)
        unit = ResolvedUnit(
            package=package,
            given=given,
            served=served,
            inputs=self.inputs.of(package, given, dropped, served),
            lacking=self.inputs.lacking(package, given, self.shelf),
        )
        self._resolved[name] = unit
        return unit

    def finish(self, record: Record) -> None:
        """Let environments have the packages of a unit that is finished."""
        self._finished[record.name] = record
        self.shelf.add(record.built)

    def same(self, unit: ResolvedUnit) -> Record | None:
        """Return the record of just what goes into a unit, which makes its build unnecessary."""
        name = unit.package.name
        if name in self.forced or unit.inputs.open or unit.first is not None:
            return None
        return self._store.find_key(name, unit.inputs.key)


def names_given(record: Record) -> tuple[str, ...]:
    """Return every name that the packages of a record provide."""
    return tuple(sorted({bare_name(text) for one in record.built for text in one.apk.provides}))
