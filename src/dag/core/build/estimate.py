"""The estimate of a plan's duration: the scheduler itself runs with expected durations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from dag.core.build.events import Began, Proven, Start, Succeeded, Unit
from dag.core.build.ranks import critical_path, levels
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The expected durations of a run, in seconds."""

    makespan: float
    """From the begin of the run to its end."""
    work: float
    """The sum of all units."""
    path: tuple[str, ...]
    """The critical path: however many jobs there are, the run takes no less than this path."""
    path_seconds: float
    levels: tuple[tuple[str, ...], ...]
    """The units by the number of units that must be built before them, one after the other."""

    def bound(self, jobs: int) -> float:
        """Return the least time that any scheduler could need with so many jobs."""
        return max(self.path_seconds, self.work / jobs)


def estimate(units: Sequence[Unit], limits: RunLimits) -> Estimate:
    """Return how long the units will take, without building anything."""
    by_key = {unit.key: unit for unit in units}
    scheduler = Scheduler(units, limits)
    running: list[tuple[float, str, int]] = []
    now = 0.0
    actions = scheduler.handle(Began(), now)
    while True:
        for action in actions:
            if isinstance(action, Start):
                heappush(running, (now + by_key[action.key].seconds, action.key, action.attempt))
        if not running:
            break
        now, key, attempt = heappop(running)
        scheduler.handle(Succeeded(key, attempt), now)
        actions = scheduler.handle(Proven(key, attempt), now)
    by_level: dict[int, list[str]] = {}
    for key, level in levels(by_key).items():
        if not by_key[key].is_gate:
            by_level.setdefault(level, []).append(key)
    path = critical_path(by_key)
    return Estimate(
        makespan=now,
        work=sum(unit.seconds for unit in units if not unit.is_gate),
        path=tuple(path),
        path_seconds=sum(by_key[key].seconds for key in path),
        levels=tuple(tuple(sorted(by_level[level])) for level in sorted(by_level)),
    )
