"""The table of a build on real terminals: what matters is there, whatever their size."""

from __future__ import annotations

import pytest

from tests.support.screens import Terminal

RUNS = """
import os, sys, termios
from dag.core.build.events import Began, Broke, Proven, Start, Succeeded, Unit
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlannedPackage, PlanSummary
from dag.report.progress import BuildProgress
from dag.report.terminal import Manner, behave

number, jobs, end, color = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
behave(Manner(quiet=end == "quiet", color=color))
names = [f"package-with-a-rather-long-name-number-{one:04}-of-many" for one in range(number)]
units = [Unit(names[0], seconds=60.0), *map(Unit, names[1:-1]), Unit(names[-1], (names[1],))]
scheduler = Scheduler(units, RunLimits(jobs=jobs))
planned = {name: PlannedPackage("1.2.3-r0", "missing", "") for name in names}
about = PlanSummary(arch="x86_64", packages=planned, timed=number)
progress = BuildProgress(scheduler, about)

def tell(event, now):
    actions = scheduler.handle(event, now)
    progress.observe(event, actions, now)
    progress.look_at_clock(now)

tell(Began(), 0.0)
tell(Succeeded(names[0], 1), 60.0)
tell(Proven(names[0], 1), 61.0)
tell(Broke(names[1], 1, "exit status 2", ("cc: no such file",)), 62.0)
progress.look_at_clock(3700.0)
if end == "resized":
    termios.tcsetwinsize(2, (int(sys.argv[5]), int(sys.argv[6])))
    progress.look_at_clock(3701.0)
if end == "interrupted":
    os.write(2, b"^C^C")
    progress.look_at_clock(3701.0)
if end in ("interrupted", "closed"):
    progress.close()
os._exit(0)
"""

TWO = """
import os, sys
from dag.core.build.events import Began, Broke, Proven, Succeeded, Unit
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import RunLimits
from dag.core.build.summary import PlannedPackage, PlanSummary
from dag.report.progress import BuildProgress
from dag.report.screen import Screen

screen = Screen(is_shared=True)
names = [f"package-{one}" for one in range(9)]
both = {}
for arch in ("aarch64", "x86_64"):
    scheduler = Scheduler(map(Unit, names), RunLimits(jobs=9))
    planned = {name: PlannedPackage("1-r0", "missing", "") for name in names}
    about = PlanSummary(arch=arch, packages=planned, timed=0)
    both[arch] = scheduler, BuildProgress(scheduler, about, screen=screen)

def tell(arch, event, now):
    scheduler, progress = both[arch]
    progress.observe(event, scheduler.handle(event, now), now)
    progress.look_at_clock(now)

for arch in both:
    tell(arch, Began(), 0.0)
tell("x86_64", Succeeded("package-0", 1), 3.0)
tell("x86_64", Proven("package-0", 1), 4.0)
tell("aarch64", Broke("package-0", 1, "exit status 2", ()), 5.0)
both["x86_64"][1].look_at_clock(6.0)
if sys.argv[1] == "one":
    both["aarch64"][1].close()
    tell("x86_64", Broke("package-1", 1, "exit status 3", ()), 7.0)
os._exit(0)
"""

SIZES = [(40, 9), (60, 12), (100, 30), (200, 60)]


@pytest.mark.parametrize(("columns", "rows"), SIZES)
@pytest.mark.parametrize(("units", "jobs"), [(3, 1), (64, 64), (3400, 512)])
def test_the_numbers_and_the_failure_are_on_the_screen(
    columns: int, rows: int, units: int, jobs: int
) -> None:
    terminal = Terminal(columns, rows)
    assert terminal.run(RUNS, str(units), str(jobs), "left", "auto") == 0
    screen = " ".join(terminal.lines)
    live = min(jobs, units - 3)
    wanted = [f"1 of {units:,} done,", f"{live} of {jobs} slots in use,", "1 failed", "1 blocked"]
    wanted += ["1h01m so far"] + ([f"{units - 3 - live:,} ready"] if units - 3 > live else [])
    wanted += ["left"] if units - 3 > live else []
    assert [words for words in wanted if words not in screen] == []
    running = [line for line in terminal.lines if "1h01m  pack" in line]
    assert running or not live
    assert all("…" in line and "-many 1.2.3-r0" in line for line in running if columns < 100)
    assert len(terminal.lines) <= rows


@pytest.mark.parametrize(("columns", "rows"), [(40, 4), (30, 5)])
def test_what_failed_and_what_is_left_come_first_where_there_is_hardly_any_room(
    columns: int, rows: int
) -> None:
    terminal = Terminal(columns, rows)
    assert terminal.run(RUNS, "3400", "512", "left", "auto") == 0
    screen = " ".join(line.strip() for line in terminal.lines)
    wanted = ["1 of 3,400 done,", "512 slots in use,", "1 failed,", "1 blocked,"]
    wanted += [" left,"] if columns == 40 else []
    assert [words for words in wanted if words not in screen] == []


@pytest.mark.parametrize(("columns", "rows"), SIZES[:2])
@pytest.mark.parametrize("end", ["closed", "interrupted"])
def test_nothing_of_the_table_stays_when_it_is_closed(columns: int, rows: int, end: str) -> None:
    terminal = Terminal(columns, rows)
    assert terminal.run(RUNS, "64", "64", end, "auto") == 0
    screen = "\n".join(terminal.lines)
    assert "slots in use" not in screen
    assert "1h01m" not in screen
    assert screen.replace("\n", "").endswith("cc: no such file")


@pytest.mark.parametrize("late", [(200, 60), (100, 30), (30, 9), (60, 12)])
def test_a_terminal_that_tells_late_of_its_size_shows_one_table(late: tuple[int, int]) -> None:
    columns, rows = 60, 15
    terminal, now = Terminal(columns, rows, late), Terminal(columns, rows)
    words = ("64", "8", "resized", "auto", str(rows), str(columns))
    assert terminal.run(RUNS, *words, COLUMNS=str(late[0]), LINES=str(late[1])) == 0
    assert now.run(RUNS, *words) == 0
    assert terminal.lines[-8:] == now.lines[-8:]
    assert "\n".join(terminal.lines).count("slots in use") == 1
    failure = next(n for n, line in enumerate(terminal.lines) if "cc: no such file" in line)
    assert "1h01m  pack" in terminal.lines[failure + 1]


@pytest.mark.parametrize(
    ("color", "variables", "expected"),
    [
        ("auto", {}, True),
        ("auto", {"NO_COLOR": "1"}, False),
        ("always", {"NO_COLOR": "1"}, True),
        ("auto", {"TERM": "dumb"}, False),
        ("always", {"TERM": "dumb"}, True),
        ("auto", {"TERM": ""}, False),
        ("auto", {"TERM": "unknown"}, False),
    ],
)
def test_there_are_colours_where_they_are_wanted(
    color: str, variables: dict[str, str], expected: bool
) -> None:
    terminal = Terminal(100, 30)
    terminal.run(RUNS, "3", "1", "closed", color, **variables)
    assert (b"\x1b[31mdag: FAILED" in terminal.raw) is expected
    dumb = "TERM" in variables
    assert (b"slots in use" in terminal.raw and b"\x1b[?25l" in terminal.raw) is not dumb


def test_quiet_tells_failures_and_nothing_else() -> None:
    terminal = Terminal(100, 30)
    terminal.run(RUNS, "3", "1", "quiet", "never")
    name = "package-with-a-rather-long-name-number-0001-of-many"
    assert terminal.lines == [
        f"dag: FAILED {name} 1.2.3-r0: exit status 2",
        "    cc: no such file",
    ]


@pytest.mark.parametrize(("columns", "rows"), [(50, 12), (100, 30)])
def test_two_builds_have_a_table_each_and_every_line_says_of_which_it_is(
    columns: int, rows: int
) -> None:
    terminal = Terminal(columns, rows)
    assert terminal.run(TWO, "both") == 0
    screen = " ".join(terminal.lines)
    assert "dag: x86_64: built package-0 1-r0 in 4.0s  [1/9]" in screen
    assert "dag: aarch64: FAILED package-0 1-r0: exit status 2" in screen
    assert "aarch64: 0 of 9 done, 8 of 9 slots in use, 1 failed" in screen
    assert "x86_64: 1 of 9 done, 8 of 9 slots in use" in screen
    assert len(terminal.lines) <= rows
    numbers = [n for n, line in enumerate(terminal.lines) if " of 9 done" in line]
    between = terminal.lines[numbers[0] + 1 : numbers[1]]
    assert any("package-1 1-r0" in line for line in between)


def test_the_table_of_a_build_that_has_ended_goes_and_the_other_stays() -> None:
    terminal = Terminal(100, 30)
    assert terminal.run(TWO, "one") == 0
    (numbers,) = (line for line in terminal.lines if " of 9 done" in line)
    assert numbers.startswith("x86_64: 1 of 9 done, 7 of 9 slots in use, 1 failed")
