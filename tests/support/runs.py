"""Runs of a build as the scheduler makes them, without anything that is built."""

from __future__ import annotations

from dag.core.build.events import Began, Broke, Proven, Start, Succeeded, Unchanged, Unit
from dag.core.build.result import Result, make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlannedPackage, PlanSummary, SkippedSummary
from dag.core.build.usage import Usage

LINES = ("cc -c x.c", "x.c:1:10: fatal error: zlib.h: No such file or directory")


def made_run(
    units: int,
    *,
    jobs: int = 4,
    pace: float = 1.0,
    failing: frozenset[int] = frozenset(),
    unchanged: frozenset[int] = frozenset(),
    until: float | None = None,
    run: str = "20260829-141200-123abc",
) -> Result:
    """Return what came of so many units, each of which needs the one that is at half its number.

    Unit n takes 1 + n % 7 seconds, times `pace`.
    """
    names = [f"p{number:04}" for number in range(units)]
    scheduler = Scheduler(
        [
            Unit(name, (names[number // 2],) if number else (), seconds=1.0 + number % 7)
            for number, name in enumerate(names)
        ],
        RunLimits(jobs=jobs),
    )
    about = PlanSummary(
        arch="x86_64",
        packages={name: PlannedPackage("1.2.3-r0", "missing", "") for name in names},
        timed=units,
        skipped=(SkippedSummary("here", "1-r0", "in the store", named=False),),
    )
    running: list[tuple[float, str, int]] = []
    now, actions = 0.0, scheduler.handle(Began(), 0.0)
    while True:
        for action in actions:
            if isinstance(action, Start):
                takes = (1.0 + int(action.key[1:]) % 7) * pace
                running.append((now + takes, action.key, action.attempt))
        if not running or (until is not None and min(running)[0] > until):
            return make_result(about, scheduler, max(now, until or 0.0), run)
        running.sort()
        now, key, attempt = running.pop(0)
        number = int(key[1:])
        if number in failing:
            actions = scheduler.handle(Broke(key, attempt, "exit status 1", LINES), now)
        elif number in unchanged:
            actions = scheduler.handle(Unchanged(key, attempt), now)
        else:
            used = Usage(cpu_seconds=0.5 * number, ram=number << 20)
            scheduler.handle(Succeeded(key, attempt, used=used), now)
            actions = scheduler.handle(Proven(key, attempt), now)
