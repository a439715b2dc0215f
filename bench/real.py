"""Measure how well `dag build` uses this machine when it builds real definitions.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/real.py [NAME…]

`dag build` builds the definitions of `make real` with two jobs, for the second time, so that it
knows how long each takes. It is compared with the bound that no scheduler can beat, for the
durations of the same run, and with make, which builds one after the other. NAME… are those to
build, instead of all. Without the data of the real distribution those that this repository has are
built.

Before that the first of them, which has next to nothing to do itself, is built alone, again, and again
with its workspace on a disk: so most of the processor time is what its environment costs, a compiler.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from bench.graph import Report  # noqa: E402
from cluster.system import explained  # noqa: E402
from dag.core.arch import Arch  # noqa: E402
from dag.core.graph.graph import Graph  # noqa: E402
from dag.io.package.definitions import read_directory  # noqa: E402
from dag.io.store.local import Store  # noqa: E402
from tests.real import sets  # noqa: E402
from tests.real.convert import ARCH  # noqa: E402
from tests.real.distribution import Distribution, lay_out, workplace  # noqa: E402
from tests.real.ways import build_by, dag_build, order, variables_of  # noqa: E402

JOBS = 2


def main() -> None:
    report = Report()
    definitions, names = sets.found("real")
    with workplace() as place:
        chosen = sys.argv[1:] or names
        distribution = lay_out(place / "distribution", definitions, chosen)
        one = replace(distribution, names=distribution.names[:1])
        first, again, on_disk = environments(one, place / "one")
        told = f"{again:.1f} s of processor time; the first time {first:.1f} s"
        report.line(
            "a compiler installed again, beside the first time", again / first, 0.75, "x", told
        )
        told = f"on a disk {on_disk:.1f} s"
        report.line("  in memory, beside on a disk", again / on_disk, 0.95, "x", told)
        seconds, bound = rebuilt(distribution, place / "build")
        began = time.monotonic()
        build_by("make", distribution, place / "make")
        alone = time.monotonic() - began
    told = f"{seconds:.1f} s; the bound {bound:.1f} s; make, one after the other, {alone:.1f} s"
    report.line(f"{len(chosen)} real definitions, {JOBS} jobs", seconds / bound, 1.05, "x", told)
    report.line("  beside make", seconds / alone, 1.0, "x")
    raise SystemExit(report.failed)


def environments(distribution: Distribution, place: Path) -> tuple[float, float, float]:
    """Return the processor time of a build: the first one, another one, and one on a disk."""
    with variables_of(distribution, place) as variables, tempfile.TemporaryDirectory() as disk:
        order(distribution, variables)  # reads the definitions once

        def spent(store: Path) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            dag_build(distribution, store, variables)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        return spent(place / "first"), spent(place / "again"), spent(Path(disk) / "store")


def rebuilt(distribution: Distribution, place: Path) -> tuple[float, float]:
    """Build everything twice; return how many seconds the second time took, and the bound for it."""
    store = place / "store"
    with variables_of(distribution, place) as variables:
        dag_build(distribution, store, variables, f"--jobs={JOBS}")
        # Of equal inputs and packages the store keeps the record of the first time, with its duration.
        later = {**variables, "SOURCE_DATE_EPOCH": "1700000001"}
        # `all` would be also what the bootstrap repository has.
        again = (f"--rebuild={name}" for name in distribution.names)
        result = json.loads(
            dag_build(distribution, store, later, f"--jobs={JOBS}", "--json", *again)
        )
    return float(result["seconds"]), least(distribution, store, result["run"])


def least(distribution: Distribution, store: Path, run: str) -> float:
    """Return max(critical path, work / jobs) in seconds, for the durations of the run itself."""
    opened = Store(store, Arch.parse(ARCH))
    graph = Graph(read_directory(distribution.directory, arch=ARCH).packages, arch=ARCH)
    seconds, ends = [], dict[str, float]()
    for package in graph.order(distribution.names):
        name = package.name
        (took,) = (one.seconds for one in opened.records_of(name) if run in one.log.split("/"))
        seconds.append(took)
        needs = [ends[need] for need in graph.installed(name) or () if need in ends]
        ends[name] = took + max(needs, default=0.0)
    return max(*ends.values(), sum(seconds) / JOBS)


if __name__ == "__main__":
    sys.exit(explained(main))
