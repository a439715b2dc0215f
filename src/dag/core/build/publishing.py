"""What comes of publishing: what is new there, what was there already, and what is lacking."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from dag.core.build.plan import Absence, BuildPlan
from dag.core.build.result import Result
from dag.core.build.states import THERE, UnitState
from dag.core.store.publication import choose_result
from dag.core.store.records import Record

_GONE = "its record is gone, or not all of its packages are there"
_UNTOLD = "the answer had no room for the reason; name this package alone to see it"


class PublishedUnit(Struct, frozen=True, order=True):
    """A unit that is published."""

    name: str
    version: str
    """`VERSION-rEPOCH`."""


class UnpublishedUnit(Struct, frozen=True, order=True):
    """A unit that is not published."""

    name: str
    version: str
    """`VERSION-rEPOCH`; empty if nobody knows."""
    why: str
    """In words."""


class ProvenUnits(Struct, frozen=True, kw_only=True):
    """The units that are asked for, for one architecture."""

    records: tuple[Record, ...] = ()
    """Of those that are proven."""
    lacking: tuple[UnpublishedUnit, ...] = ()
    """Those that are not finished."""
    gone: tuple[UnpublishedUnit, ...] = ()
    """Those that were proven and of which the store has no whole record any more."""


class Publishing(Struct, frozen=True, kw_only=True):
    """What came of publishing for one architecture."""

    arch: str
    published: tuple[PublishedUnit, ...]
    """What is new, or would be."""
    already: tuple[PublishedUnit, ...]
    """What was published before."""
    lacking: tuple[UnpublishedUnit, ...]
    """What is not finished."""
    refused: tuple[UnpublishedUnit, ...]
    """What was proven, and of which the store has not all any more."""

    def exit_code(self, *, wants_all: bool) -> int:
        """Return how the command ends: 3 if something was refused, 1 if something lacks of what it wants."""
        if self.refused:
            return 3
        return 1 if self.lacking and wants_all else 0

    def to_json(self) -> dict[str, Any]:
        """Return this in a form that JSON can hold."""
        body: dict[str, Any] = msgspec.to_builtins(self)
        return body


def make_publishing(
    arch: str,
    proven: ProvenUnits,
    before: Collection[tuple[str, str]],
    refused: Mapping[str, str] = MappingProxyType({}),
) -> Publishing:
    """Return what came of publishing these units.

    `before` has the names and versions of those that were published before, and `refused` why units
    could not be published, by their names.
    """
    there = [one for one in proven.records if (one.name, one.version) in before]
    new = [one for one in proven.records if (one.name, one.version) not in before]
    lost = (UnpublishedUnit(r.name, r.version, refused[r.name]) for r in new if r.name in refused)
    return Publishing(
        arch=arch,
        published=_names(one for one in new if one.name not in refused),
        already=_names(there),
        lacking=proven.lacking,
        refused=tuple(sorted((*proven.gone, *lost))),
    )


def refused_of(
    records: Iterable[Record], published: Collection[tuple[str, str]], told: Mapping[str, str]
) -> dict[str, str]:
    """Return why records are not published, by the names of their units.

    `published` has the names and versions of those that are, and `told` the reasons that are known:
    an answer has room for some alone.
    """
    left = (one.name for one in records if (one.name, one.version) not in published)
    return {**dict.fromkeys(left, _UNTOLD), **told}


def _names(records: Iterable[Record]) -> tuple[PublishedUnit, ...]:
    return tuple(sorted(PublishedUnit(one.name, one.version) for one in records))


def lacking_of(plan: BuildPlan) -> tuple[UnpublishedUnit, ...]:
    """Return what of a plan is not finished, and why."""
    each = [
        UnpublishedUnit(one.package.name, one.package.full_version, f"not built: {one.reason}")
        for one in plan.steps
    ]
    cycle, needs = "in a cycle that nothing opens", "not built: it needs {}, which is in a cycle"
    each += [UnpublishedUnit(name, "", cycle) for one in plan.stuck for name in one.packages]
    each += [UnpublishedUnit(name, "", needs.format(it)) for name, it in plan.blocked.items()]
    each += [UnpublishedUnit(name, "", why) for name, why in plan.unbuildable.items()]
    each += [
        UnpublishedUnit(one.package.name, one.package.full_version, str(one.absence))
        for one in plan.skipped
        if one.named and one.absence in (Absence.OTHER_ARCH, Absence.STOPPED)
    ]
    return tuple(sorted(each))


def proven_in(
    result: Result, results: Mapping[str, str], records_of: Callable[[str], Iterable[Record]]
) -> ProvenUnits:
    """Return what a run has proven.

    `results` are the hashes of what came out, by unit, as its journal has them; `records_of` returns
    the records of a unit that a store has.
    """
    records, lacking, gone = [], [], []
    for unit in result.units:
        if UnitState(unit.state) not in THERE:
            why = f"blocked by {unit.blocked_by}" if unit.blocked_by else unit.cause or unit.state
            lacking.append(UnpublishedUnit(unit.name, unit.version, f"not proven: {why}"))
            continue
        same = (
            one
            for one in records_of(unit.name)
            if (one.version, one.result) == (unit.version, results.get(unit.name))
        )
        found = choose_result(same)
        if found is None:
            gone.append(UnpublishedUnit(unit.name, unit.version, _GONE))
        else:
            records.append(found)
    # What was proven before somebody else went on with the run is in its journal alone.
    for name in sorted(results.keys() - {unit.name for unit in result.units}):
        found = choose_result(one for one in records_of(name) if one.result == results[name])
        if found is None:
            gone.append(UnpublishedUnit(name, "", _GONE))
        else:
            records.append(found)
    return ProvenUnits(records=tuple(records), lacking=tuple(lacking), gone=tuple(gone))
