"""The result of a run: one object, from a plan's summary and the scheduler, for every report."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dag.core.build.bootstrap import Dropped
from dag.core.build.events import INTERRUPTED
from dag.core.build.plan import Absence
from dag.core.build.ranks import critical_path
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import SETTLED, THERE, Progress, UnitState
from dag.core.build.stuck import Stuck
from dag.core.build.summary import PlanSummary, SkippedSummary
from dag.core.build.twice import is_second, second_of
from dag.core.build.usage import Usage
from dag.core.store.layout import STATE, RunNames

OTHER_ARCH = Absence.OTHER_ARCH.value


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondBuild:
    """What became of the second build of a package, from the same inputs as the first one."""

    state: str
    """The value of a `UnitState`."""
    cause: str
    """Why it failed or was dropped; empty if it was built."""
    differences: tuple[str, ...]
    """What is different from the first build, in words: a line for each file of a package."""

    @property
    def has_failed(self) -> bool:
        """Return whether nothing came out."""
        return self.state == UnitState.FAILED.value

    @property
    def is_built(self) -> bool:
        """Return whether something came out, be it different or not."""
        return UnitState(self.state) in THERE


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitResult:
    """The result of one package."""

    name: str
    version: str
    state: str
    """The value of a `UnitState`."""
    reason: str
    """The value of a `Reason`: why it was to be built."""
    because: str
    """The dependency that is rebuilt, or the old version; often empty."""
    cause: str
    """Why it failed or was dropped; empty if it was built."""
    blocked_by: str | None
    """The package that failed."""
    attempts: int
    started: float | None
    """When the latest attempt started, in seconds since the run began."""
    ended: float | None
    """When the latest attempt ended."""
    lines: tuple[str, ...]
    """The last lines of its log, if it failed."""
    log: str
    """The path of its log below the store."""
    file: str = ""
    """The definition, relative to the directory of definitions."""
    cpu: int = 0
    """The CPUs that its latest attempt got, or that its next one would get, in millicores."""
    ram: int = 0
    """The memory that it got, in bytes."""
    used: Usage | None = None
    """What its latest attempt took; None if nobody knows."""
    results: int = 1
    """How many different results the store has of just what went into it: more than one if it
    cannot be reproduced."""
    second: SecondBuild | None = None
    """Its second build; None if there was to be none."""

    @property
    def is_there(self) -> bool:
        """Return whether the store has it."""
        return UnitState(self.state) in THERE

    @property
    def is_complete(self) -> bool:
        """Return whether the store has it, and a second build, if asked for, made the same."""
        if not self.is_there or self.second is None:
            return self.is_there
        return self.second.is_built and self.results == 1

    @property
    def is_dubious(self) -> bool:
        """Return whether the store has it, and a second build failed or made something else."""
        if not self.is_there or self.second is None:
            return False
        return self.results > 1 or self.second.has_failed

    @property
    def seconds(self) -> float | None:
        """Return how long the latest attempt took; None if it has not ended."""
        if self.started is None or self.ended is None:
            return None
        return self.ended - self.started


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a run, whether that has ended or not."""

    run: str = ""
    """The run's id; empty if it is of a version that kept only one run."""
    arch: str
    units: tuple[UnitResult, ...]
    """The packages that were to be built, in the order of the plan."""
    skipped: tuple[SkippedSummary, ...]
    stuck: tuple[Stuck, ...]
    blocked: Mapping[str, str]
    """Packages that were never to be built → the stuck package that they need."""
    unbuildable: Mapping[str, str]
    """Packages that need something for another architecture → words that say so."""
    dropped: tuple[Dropped, ...]
    """Dependencies that what was there gave, to open a cycle."""
    seconds: float
    """How long the run has taken."""
    critical_path: tuple[str, ...]
    """The chain of units, each needed by the next one, that took longest."""
    broken: int = 0
    """How many definitions could not be used, if everything was asked for."""
    finished: bool
    """Whether every unit is settled."""
    stopped: str | None
    """Why the run was stopped; None if it was not."""
    only_faults: bool
    """Whether no unit that failed was itself at fault."""
    open: Mapping[str, str] = field(default_factory=dict)
    """Packages for which melange asked repositories itself → why, in words.

    It may have got what nobody had chosen. Nothing is known of this while the run goes on.
    """

    def with_state(self, state: UnitState) -> tuple[UnitResult, ...]:
        """Return the units in `state`."""
        return tuple(unit for unit in self.units if unit.state == state.value)

    @property
    def dubious(self) -> tuple[UnitResult, ...]:
        """Return the units that are there, and whose second build failed or made something else."""
        return tuple(unit for unit in self.units if unit.is_dubious)

    @property
    def impossible(self) -> tuple[SkippedSummary, ...]:
        """Return the packages that were asked for by name and are not for this architecture."""
        return tuple(one for one in self.skipped if one.named and one.why == OTHER_ARCH)

    @property
    def exit_code(self) -> int:
        """Return how the command ends.

        0: everything that was asked for is there. 1: something is not, or a second build made
        something else. 3: something is not, but only because of faults around the builds. 130:
        somebody interrupted the run.
        """
        if self.stopped == INTERRUPTED:
            return 130
        if self.impossible or self.unbuildable:
            return 1
        complete = all(unit.is_complete for unit in self.units)
        if complete and not self.stuck and not self.blocked:
            return 0
        differs = any(unit.second and unit.results > 1 for unit in self.units)
        return 3 if self.only_faults and not self.stuck and not differs else 1

    def to_json(self) -> dict[str, Any]:
        """Return the result in a form that JSON can hold."""
        return {
            **msgspec.to_builtins(self),
            "skipped": [msgspec.structs.asdict(one) for one in self.skipped],
            "dropped": [msgspec.structs.asdict(one) for one in self.dropped],
            "exit_code": self.exit_code,
            "units": [
                {**msgspec.to_builtins(unit), "seconds": unit.seconds} for unit in self.units
            ],
        }


def exit_code_of(codes: Collection[int]) -> int:
    """Return how a command ends whose builds end with these codes; 0 for none.

    An interruption counts most, then a package that failed; else what is worst.
    """
    return next((code for code in (130, 1) if code in codes), max(codes, default=0))


def make_result(about: PlanSummary, scheduler: Scheduler, now: float, run: str = "") -> Result:
    """Return the result of the run with this id and plan, `now` seconds after it began."""
    units = []
    names = RunNames(run, about.arch)
    for name, planned in about.packages.items():
        progress, second = scheduler.units[name], scheduler.units.get(second_of(name))
        units.append(
            UnitResult(
                name=name,
                version=planned.version,
                state=progress.state.value,
                reason=planned.reason,
                because=planned.because,
                cause="" if progress.state in THERE else progress.cause,
                blocked_by=progress.blocked_by,
                attempts=progress.attempt,
                started=progress.started,
                ended=progress.ended,
                lines=progress.lines if progress.state is UnitState.FAILED else (),
                log=f"{STATE}/{names.log(name)}" if run else f"logs/{about.arch}/{name}.log",
                file=planned.file,
                cpu=progress.resources.cpu,
                ram=progress.resources.ram,
                used=progress.used,
                results=max(progress.results, second.results if second else 1),
                second=_second_build(second) if second else None,
            )
        )
    failed = list(scheduler.by_state(UnitState.FAILED))
    return Result(
        run=run,
        arch=about.arch,
        units=tuple(units),
        skipped=about.skipped,
        stuck=about.stuck,
        blocked=about.blocked,
        unbuildable=about.unbuildable,
        dropped=about.dropped,
        seconds=now,
        critical_path=_critical_path(scheduler),
        broken=about.broken,
        finished=scheduler.finished,
        stopped=scheduler.stopped,
        only_faults=bool(failed)
        and all(
            one.faults > scheduler.limits.faults or (one.broken and not one.is_at_fault)
            for one in failed
        ),
    )


def _second_build(progress: Progress) -> SecondBuild:
    return SecondBuild(
        state=progress.state.value,
        cause="" if progress.state in THERE else progress.cause,
        differences=progress.differences,
    )


def _critical_path(scheduler: Scheduler) -> tuple[str, ...]:
    """Return the chain of units, each needed by the next one, whose latest attempts took longest."""
    # What a second build takes keeps nothing waiting.
    ran = {
        key: msgspec.structs.replace(
            progress.unit, seconds=(progress.ended or 0.0) - progress.started
        )
        for key, progress in scheduler.units.items()
        if progress.started is not None and progress.state in SETTLED and not is_second(key)
    }
    if not ran:
        return ()
    gates = {key: one.unit for key, one in scheduler.units.items() if one.unit.is_gate}
    return tuple(critical_path(ran | gates))
