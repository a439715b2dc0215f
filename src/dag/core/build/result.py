"""What a run came to: one object, from a plan's summary and the scheduler, for every report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dag.core.build.events import INTERRUPTED
from dag.core.build.plan import Absence, BuildPlan
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import SETTLED, Progress, UnitState

OTHER_ARCH = Absence.OTHER_ARCH.value


def summary(plan: BuildPlan) -> dict[str, Any]:
    """Say of a plan what a result needs to know, in a form that JSON can hold."""
    return {
        "arch": plan.arch.apk,
        "packages": {
            step.package.name: [step.package.full_version, step.reason.value, step.because]
            for step in plan.steps
        },
        "timed": plan.timed,
        "skipped": [
            [one.package.name, one.package.full_version, one.absence.value, one.named]
            for one in plan.skipped
        ],
        "stuck": [asdict(one) for one in plan.stuck],
        "blocked": dict(plan.blocked),
        "dropped": [[one.package, one.name] for one in plan.dropped],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitResult:
    """What became of one package."""

    name: str
    version: str
    state: str
    """A `UnitState`'s value."""
    reason: str
    """Why it was to be built."""
    because: str
    cause: str
    """Why it failed or was dropped; empty if it was built."""
    blocked_by: str | None
    """The package that failed."""
    attempts: int
    started: float | None
    """Of the latest attempt, in seconds since the run began."""
    ended: float | None
    lines: tuple[str, ...]
    """The last ones of its log, if it failed."""
    log: str
    """Below the store."""

    @property
    def seconds(self) -> float | None:
        """How long the latest attempt took."""
        if self.started is None or self.ended is None:
            return None
        return self.ended - self.started


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedInResult:
    """A package that was asked for and not to be built."""

    name: str
    version: str
    why: str
    """An `Absence`'s value."""
    named: bool
    """Somebody asked for this very package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Packages that could not be built because they need each other."""

    packages: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]
    bootstrap: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run, ended or not."""

    arch: str
    units: tuple[UnitResult, ...]
    """In the order of the plan."""
    skipped: tuple[SkippedInResult, ...]
    stuck: tuple[Cycle, ...]
    blocked: Mapping[str, str]
    """Packages that were never to be built → the stuck one that they need."""
    dropped: tuple[tuple[str, str], ...]
    """Package and dependency that a repository gave, to open a cycle."""
    seconds: float
    """The run's."""
    critical_path: tuple[str, ...]
    """The chain of units that the end was waited for, first one first."""
    finished: bool
    stopped: str | None
    only_faults: bool
    """Everything that failed, failed by no fault of its own."""

    def with_state(self, state: UnitState) -> tuple[UnitResult, ...]:
        """Choose the units in `state`."""
        return tuple(unit for unit in self.units if unit.state == state.value)

    @property
    def impossible(self) -> tuple[SkippedInResult, ...]:
        """What was asked for by its name, and is not for this architecture."""
        return tuple(one for one in self.skipped if one.named and one.why == OTHER_ARCH)

    @property
    def exit_code(self) -> int:
        """0: everything asked for is there; 1: something is not; 3: only around the builds; 130."""
        if self.stopped == INTERRUPTED:
            return 130
        if self.impossible:
            return 1
        complete = all(unit.state == UnitState.DONE.value for unit in self.units)
        if complete and not self.stuck and not self.blocked:
            return 0
        return 3 if self.only_faults and not self.stuck else 1

    def to_json(self) -> dict[str, Any]:
        """Give it in a form that JSON can hold."""
        return {
            **asdict(self),
            "exit_code": self.exit_code,
            "units": [{**asdict(unit), "seconds": unit.seconds} for unit in self.units],
        }


def make_result(about: Mapping[str, Any], scheduler: Scheduler, now: float) -> Result:
    """Make the result of a run from its plan's `summary`, at `now` seconds since it began."""
    packages = about["packages"]
    units = []
    for name, (version, reason, because) in packages.items():
        progress = scheduler.units[name]
        units.append(
            UnitResult(
                name=name,
                version=version,
                state=progress.state.value,
                reason=reason,
                because=because,
                cause="" if progress.state is UnitState.DONE else progress.cause,
                blocked_by=progress.blocked_by,
                attempts=progress.attempt,
                started=progress.started,
                ended=progress.ended,
                lines=progress.lines if progress.state is UnitState.FAILED else (),
                log=f"logs/{about['arch']}/{name}.log",
            )
        )
    failed = list(scheduler.by_state(UnitState.FAILED))
    return Result(
        arch=about["arch"],
        units=tuple(units),
        skipped=tuple(
            SkippedInResult(name=name, version=version, why=why, named=named)
            for name, version, why, named in about["skipped"]
        ),
        stuck=tuple(
            Cycle(
                packages=tuple(one["packages"]),
                cycles=tuple(tuple(cycle) for cycle in one["cycles"]),
                bootstrap=tuple(one["bootstrap"]),
            )
            for one in about["stuck"]
        ),
        blocked=about["blocked"],
        dropped=tuple((package, name) for package, name in about["dropped"]),
        seconds=now,
        critical_path=_critical_path(scheduler),
        finished=scheduler.finished,
        stopped=scheduler.stopped,
        only_faults=bool(failed) and all(one.faults > scheduler.limits.faults for one in failed),
    )


def _critical_path(scheduler: Scheduler) -> tuple[str, ...]:
    """Go back from the unit that ended last, each time to the need that it waited for."""
    ran = [p for p in scheduler.units.values() if p.started is not None and p.state in SETTLED]
    if not ran:
        return ()

    def end(progress: Progress) -> tuple[float, str]:
        return (progress.ended or 0.0, progress.unit.key)

    path = []
    at: str | None = max(ran, key=end).unit.key
    while at is not None:
        path.append(at)
        at = scheduler.units[at].freed_by
    return tuple(reversed(path))
