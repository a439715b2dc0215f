"""How well `dag build` uses this machine: makespan, processor time of its own, size of a plan.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/build.py

A generated distribution is built with one job per processor, and by make one after the other. The
bound is what no scheduler can beat, max(critical path, work / jobs), with the durations of the very
same run: builds slow each other down. A duration is that of the processes of a unit; whatever comes
before and after them counts as overhead. Exits with 1 if something is over its limit.
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
from dag.core.build.plan import BuildRequest, Known, make_plan  # noqa: E402
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
"""What each build does besides what melange does: some tenths of a second."""
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
"""`dag`, which writes to its first argument what it used of the processor without its children."""


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


def least(directory: Path, store: Path) -> float:
    """Return the bound in seconds, from the durations that the store has of the run."""
    opened = Store(store, Arch.parse("x86_64"))
    opened.read()
    seconds = opened.seconds()
    plan = make_plan(
        Graph(read(directory, arch="x86_64")), opened.arch, BuildRequest(), Known(seconds=seconds)
    )
    assert len(seconds) == len(plan.steps) == PACKAGES
    return estimate(plan.units, RunLimits(jobs=JOBS)).bound(JOBS)


def one_after_the_other(directory: Path) -> float:
    """Seconds that make takes, which builds in the order in which its file names the packages."""
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


def plan(report: Report) -> None:
    """Plan 100,000 units with ten needs each, in processor seconds: nothing in it waits.

    The limits are of a machine on which a plain PyYAML load of 3,401 files takes `LOAD_THERE`.
    """
    before = processor(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", PLAIN_LOAD, str(unpacked(TODAY))], check=True)
    scale = (processor(resource.RUSAGE_CHILDREN) - before) / LOAD_THERE
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


def processor(who: int) -> float:
    """Processor seconds, of this process or of its children."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main() -> None:
    report = Report()
    plan(report)
    build(report)
    raise SystemExit(report.failed)


if __name__ == "__main__":
    sys.exit(explained(main))
