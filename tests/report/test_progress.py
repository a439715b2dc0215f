"""Progress of a build where there is no terminal, by a clock of the test's own."""

from __future__ import annotations

import io

import pytest

from dag.core.build.events import Began, Proven, Start, Succeeded, Unit
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlannedPackage, PlanSummary
from dag.report.progress import BuildProgress


class Run:
    """A run of units that need nothing, with what is told of it."""

    def __init__(self, *names: str) -> None:
        self.stream = io.StringIO()
        self.scheduler = Scheduler([Unit(name) for name in names], RunLimits(jobs=20))
        planned = {name: PlannedPackage("1-r0", "missing", "") for name in names}
        about = PlanSummary(arch="x86_64", packages=planned, timed=0)
        self.progress = BuildProgress(self.scheduler, about, stream=self.stream)
        self.tell(Began(), 0.0)

    def tell(self, event: Began | Succeeded | Proven, now: float) -> None:
        actions = self.scheduler.handle(event, now)
        self.progress.observe(event, actions, now)
        self.started = [one for one in actions if isinstance(one, Start)]

    def look(self, now: float) -> list[str]:
        """Return what is told when the clock shows `now`."""
        before = len(self.stream.getvalue())
        self.progress.look_at_clock(now)
        return self.stream.getvalue()[before:].splitlines()


def test_every_minute_a_line_tells_what_runs_for_how_long_and_how_much_is_done() -> None:
    run = Run("brotli", "zlib")
    assert run.look(59.0) == []
    first = "dag: running: brotli for 1m00s, zlib for 1m00s"
    assert run.look(60.0) == [f"{first}  [0 of 2 done, 2 of 20 slots in use]"]
    assert run.look(61.0) == []
    run.tell(Succeeded("brotli", 1), 70.0)
    run.tell(Proven("brotli", 1), 71.0)
    assert run.look(119.9) == []
    assert run.look(125.0) == ["dag: running: zlib for 2m05s  [1 of 2 done, 1 of 20 slots in use]"]
    run.tell(Succeeded("zlib", 1), 130.0)
    run.tell(Proven("zlib", 1), 131.0)
    assert run.look(300.0) == []


def test_many_that_run_are_counted() -> None:
    run = Run(*(f"p{number:02}" for number in range(20)))
    (line,) = run.look(3600.0)
    assert line.endswith("p15 for 1h00m and 4 more  [0 of 20 done, 20 of 20 slots in use]")


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_nothing_is_told_early(seconds: float) -> None:
    assert Run("a").look(seconds) == []
