"""Measure how well `dag build` uses this machine: a build, its own work, and a large plan.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/build.py

`dag build` builds a generated distribution with at most two jobs, and make builds it with one
package after the other. `dag build` is compared with a bound that no scheduler can beat, which is
max(critical path, work / jobs). Builds slow each other down, so the bound has the durations of the
same run. A duration is that of a unit's processes; whatever comes before and after them is
overhead. The exit code is 1 if something is over its limit.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from bench.graph import LOAD_THERE, PLAIN_LOAD, Report  # noqa: E402
from cluster import parts  # noqa: E402
from cluster.system import explained  # noqa: E402
from dag.core.arch import Arch  # noqa: E402
from dag.core.build.estimate import estimate  # noqa: E402
from dag.core.build.known import Known  # noqa: E402
from dag.core.build.plan import BuildRequest, make_plan  # noqa: E402
from dag.core.build.scheduler import Scheduler  # noqa: E402
from dag.core.build.states import RunLimits  # noqa: E402
from dag.core.graph.graph import Graph  # noqa: E402
from dag.core.package.model import Need, Package  # noqa: E402
from dag.io.package.definitions import read  # noqa: E402
from dag.io.store.local import Store  # noqa: E402
from tests.support.distributions import TODAY, unpacked  # noqa: E402
from tests.torture.distribution import generate  # noqa: E402
from tests.torture.kills import environment  # noqa: E402

PACKAGES = 80
JOBS = min(2, len(os.sched_getaffinity(0)))
WORK = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
"""The work of each build, besides that of melange. It takes some tenths of a second."""
DAG = """
import atexit, resource, sys
from dag.cli.main import run
place = sys.argv.pop(1)
def report():
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open(place, "w") as file:
        print(used.ru_utime + used.ru_stime, file=file)
atexit.register(report)
run()
"""
"""`dag` that writes the processor time of its own process to the file of its first argument."""


def build(report: Report) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        directory, store, used = place / "distribution", place / "store", place / "used"
        generate(directory, count=PACKAGES, seed=3, work=WORK)
        command = [sys.executable, "-c", DAG, str(used), "build", "--json", f"--jobs={JOBS}"]
        done = subprocess.run(
            [*command, f"--store={store}"],
            cwd=directory,
            env=environment(),
            check=True,
            capture_output=True,
        )
        makespan = float(json.loads(done.stdout)["seconds"])
        own = float(used.read_text())
        bound = least(directory, store)
        alone = one_after_the_other(directory)
    ratio = f"{makespan:.1f} s; the bound {bound:.1f} s; make, one after the other, {alone:.1f} s"
    report.line(f"{PACKAGES} packages, {JOBS} jobs", makespan / bound, 1.1, "x", ratio)
    report.line("  processor time of dag itself, a unit", own / PACKAGES * 1000, 20.0, "ms")


def overhead(report: Report) -> None:
    """Build one package whose step keeps a processor busy for 30 seconds, with make and with `dag`.

    That is of the clock, whoever else wants the processor, so that both wait for just the same.
    """
    burns = "end=$(($(date +%s) + 30)); while [ $(date +%s) -lt $end ]; do :; done"
    with tempfile.TemporaryDirectory() as temporary:
        directory, store = Path(temporary, "distribution"), Path(temporary, "store")
        generate(directory, count=1, seed=3, work=burns)
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "dag", "build", f"--store={store}"],
            cwd=directory,
            env=environment(),
            check=True,
            capture_output=True,
        )
        ours = time.monotonic() - began
        alone = one_after_the_other(directory)
    ratio = f"{ours:.1f} s; melange alone {alone:.1f} s"
    report.line("a unit of 30 s, beside melange alone", ours / alone, 1.05, "x", ratio)


def least(directory: Path, store: Path) -> float:
    """Return the bound in seconds, for the durations of the run that the store has recorded."""
    opened = Store(store, Arch.parse("x86_64"))
    opened.read()
    seconds = opened.seconds()
    plan = make_plan(
        Graph(read(directory, arch="x86_64")), opened.arch, BuildRequest(), Known(seconds=seconds)
    )
    assert len(seconds) == len(plan.steps) == PACKAGES
    return estimate(plan.units, RunLimits(jobs=JOBS)).bound(JOBS)


def one_after_the_other(directory: Path) -> float:
    """Build with make, in the order of the Makefile, and return how many seconds that took."""
    melange = parts.build("melange") / "melange"
    extra = "--repository-append ./bootstrap --keyring-append ./bootstrap/bootstrap.rsa.pub"
    options = f"--cache-dir {directory}/cache {extra}"
    words = [f"MELANGE={melange}", "KEY=melange.rsa", "ARCH=x86_64", "REPO=./packages"]
    began = time.monotonic()
    subprocess.run(
        ["make", *words, f"MELANGE_EXTRA_OPTS={options}", "all"],
        cwd=directory,
        check=True,
        capture_output=True,
    )
    return time.monotonic() - began


def plan(report: Report, scale: float) -> None:
    """Plan 100,000 units with ten needs each, and measure the processor time of that.

    Planning waits for nothing, so the processor time is what counts.
    """
    size, degree = 100_000, 10
    rng = random.Random(1)
    names = [f"package-{number:06}" for number in range(size)]
    packages = []
    for number, name in enumerate(names):
        targets = {rng.randrange(number) for _ in range(degree if number else 0)}
        needs = tuple(Need(names[target], name, 1, "environment") for target in targets)
        packages.append(
            Package(name=name, version="1", epoch=0, file=name, line=1, environment=needs)
        )
    graph = Graph(packages)
    known = Known(seconds={name: rng.random() * 100 for name in names})
    gc.disable()  # as `dag build` does until the plan is made
    began = processor(resource.RUSAGE_SELF)
    made = make_plan(graph, Arch.parse("x86_64"), BuildRequest(), known)
    planned = processor(resource.RUSAGE_SELF)
    Scheduler(made.units, RunLimits(jobs=64))
    scheduled = processor(resource.RUSAGE_SELF)
    gc.enable()
    assert len(made.steps) == size
    report.line("plan of 100,000 units, processor time", planned - began, 5.0 * scale)
    report.line("  the scheduler that runs it", scheduled - planned, 2.0 * scale)


def slowness() -> float:
    """Return how much slower this machine is, at the moment, than the one for which limits were set.

    There a plain PyYAML load of 3,401 files takes `LOAD_THERE`.
    """
    before = processor(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", PLAIN_LOAD, str(unpacked(TODAY))], check=True)
    return (processor(resource.RUSAGE_CHILDREN) - before) / LOAD_THERE


def processor(who: int) -> float:
    """Return the processor time of this process or of its children, in seconds."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main() -> None:
    # Without byte code, each start of dag would compile all its sources.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    report, scale = Report(), slowness()
    plan(report, scale)
    build(report)
    overhead(report)
    raise SystemExit(report.failed)


if __name__ == "__main__":
    sys.exit(explained(main))
