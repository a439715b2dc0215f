"""The summary of a plan: what the journal keeps of it, so that a result can be made from that."""

from __future__ import annotations

from msgspec import Struct

from dag.core.build.bootstrap import Dropped
from dag.core.build.plan import BuildPlan
from dag.core.build.stuck import Stuck


class PlannedPackage(Struct, frozen=True, array_like=True):
    """A package that is to be built."""

    version: str
    """`VERSION-rEPOCH`."""
    reason: str
    """The value of a `Reason`: why it is built."""
    because: str
    """The dependency that is rebuilt, or the old version; often empty."""
    file: str = ""
    """The definition, relative to the directory of definitions."""


class SkippedSummary(Struct, frozen=True, array_like=True):
    """A package that was asked for and is not to be built."""

    name: str
    version: str
    why: str
    """The value of an `Absence`."""
    named: bool
    """Whether somebody asked for this very package."""


class PlanSummary(Struct, frozen=True, kw_only=True):
    """A plan without its definitions, in a form that JSON can hold."""

    arch: str
    packages: dict[str, PlannedPackage]
    """The packages that are to be built, dependencies first."""
    timed: int
    """Of how many packages an earlier run knows how long they take."""
    skipped: tuple[SkippedSummary, ...] = ()
    stuck: tuple[Stuck, ...] = ()
    blocked: dict[str, str] = {}
    """Packages that are never built → the stuck package that they need."""
    unbuildable: dict[str, str] = {}
    """Packages that need something for another architecture → words that say so."""
    dropped: tuple[Dropped, ...] = ()
    broken: int = 0
    """How many definitions cannot be used, if everything was asked for."""


def summarize(plan: BuildPlan, *, broken: int = 0) -> PlanSummary:
    """Return the summary of a plan, which was made without so many `broken` definitions."""
    return PlanSummary(
        arch=plan.arch.apk,
        packages={
            step.package.name: PlannedPackage(
                step.package.full_version, step.reason.value, step.because, step.package.file
            )
            for step in plan.steps
        },
        timed=plan.timed,
        skipped=tuple(
            SkippedSummary(one.package.name, one.package.full_version, one.absence.value, one.named)
            for one in plan.skipped
        ),
        stuck=plan.stuck,
        blocked=dict(plan.blocked),
        unbuildable=dict(plan.unbuildable),
        dropped=plan.dropped,
        broken=broken,
    )
