"""Progress of a build where there is no terminal, by a clock of the test's own."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from dag.core.build.events import Began, Broke, Proven, Start, Succeeded, Unit
from dag.core.build.result import make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.stuck import Stuck
from dag.core.build.summary import PlannedPackage, PlanSummary
from dag.report.progress import BuildProgress, log_words, result_lines
from dag.report.screen import Screen


class Run:
    """A run of units that need nothing, with what is told of it."""

    def __init__(self, *names: str) -> None:
        self.stream = io.StringIO()
        self.scheduler = Scheduler([Unit(name) for name in names], RunLimits(jobs=20))
        planned = {name: PlannedPackage("1-r0", "missing", "") for name in names}
        about = PlanSummary(arch="x86_64", packages=planned, timed=0)
        self.about = about
        self.progress = BuildProgress(
            self.scheduler,
            about,
            logs=lambda name: log_words("packages", name, f"logs/{name}.log"),
            screen=Screen(self.stream),
        )
        self.tell(Began(), 0.0)

    def tell(self, event: Began | Broke | Succeeded | Proven, now: float) -> None:
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


def test_a_failure_is_told_once_with_its_words_and_its_log() -> None:
    run = Run("brotli")
    run.tell(Broke("brotli", 1, "exit status 2 in a step", ("cc: no such file",)), 1.0)
    assert run.stream.getvalue().splitlines()[-2:] == [
        "dag: FAILED brotli 1-r0: exit status 2 in a step; its log is packages/logs/brotli.log",
        "    cc: no such file",
    ]
    result = make_result(run.about, run.scheduler, 1.0)
    assert [*result_lines(result, store="packages", was_followed=True)] == ["1 failed in 1.0s"]
    (told, words, _) = result_lines(result, store="gs://b")
    assert words == "    cc: no such file"
    log = "`dag logs --store gs://b brotli` prints its log"
    assert told == f"FAILED brotli 1-r0: exit status 2 in a step; {log}"
    (told, _, _) = result_lines(replace(result, arch="aarch64"), store="gs://b")
    assert "`dag logs --store gs://b --arch aarch64 brotli`" in told


def test_what_the_plan_told_is_told_again_only_if_something_was_built() -> None:
    stuck = Stuck(("egg", "hen"), (("egg", "hen"),), ("egg",))
    because = {"app": "app needs armlib"}
    told = [
        "a cycle of 2 packages cannot be built:",
        "    egg → hen → egg",
        "    a repository (-r) with egg would open it",
        "cannot be built: app; app needs armlib",
    ]
    for run in (Run(), Run("a")):
        result = make_result(run.about, run.scheduler, 1.0)
        result = replace(result, stuck=(stuck,), unbuildable=because)
        assert [*result_lines(result, store="packages")][:-1] == told
        followed = [*result_lines(result, store="packages", was_followed=True)]
        assert followed[:-1] == (told if result.units else [])


def test_a_failure_that_other_lines_follow_is_listed_at_the_end() -> None:
    run = Run("brotli", "zlib", "xz")
    run.tell(Broke("zlib", 1, "exit status 2 in a step"), 1.0)
    run.tell(Succeeded("xz", 1), 2.0)
    run.tell(Proven("xz", 1), 3.0)
    said = ("compiling", "in file a.c:", "a.c:1: no", "ld: no")
    run.tell(Broke("brotli", 1, "exit status 3 in a step", said), 4.0)
    result = make_result(run.about, run.scheduler, 4.0)
    assert [*result_lines(result, store="packages", was_followed=True)] == [
        "FAILED brotli 1-r0: exit status 3 in a step; its log is packages/logs/x86_64/brotli.log",
        *(f"    {line}" for line in said[1:]),
        "FAILED zlib 1-r0: exit status 2 in a step; its log is packages/logs/x86_64/zlib.log",
        "1 built, 2 failed in 4.0s",
    ]
    run = Run("zlib", "xz")
    run.tell(Broke("zlib", 1, "exit status 2 in a step"), 1.0)
    run.tell(Succeeded("xz", 1), 2.0)
    run.tell(Proven("xz", 1), 3.0)
    result = make_result(run.about, run.scheduler, 3.0)
    told = next(result_lines(result, store="packages", was_followed=True))
    assert told.startswith("FAILED zlib 1-r0: ")
