"""Measure how well `dag build` uses this machine when it builds real definitions.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/real.py [NAME…]

`dag build` builds the definitions of `make real` with two jobs. It is compared with the bound that
no scheduler can beat, and with make, which builds one after the other. NAME… are those to build,
instead of all. Without the data of the real distribution those that this repository has are built.
"""

from __future__ import annotations

import sys
import time
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
from tests.real.ways import build_by  # noqa: E402

JOBS = 2


def main() -> None:
    report = Report()
    definitions, names = sets.found("real")
    with workplace() as place:
        chosen = sys.argv[1:] or names
        distribution = lay_out(place / "distribution", definitions, chosen)
        seconds = timed("build", distribution, place)
        alone = timed("make", distribution, place)
        bound = least(distribution, place / "build" / "store")
    told = f"{seconds:.1f} s; the bound {bound:.1f} s; make, one after the other, {alone:.1f} s"
    report.line(f"{len(chosen)} real definitions, {JOBS} jobs", seconds / bound, 1.05, "x", told)
    report.line("  beside make", seconds / alone, 1.0, "x")
    raise SystemExit(report.failed)


def timed(way: str, distribution: Distribution, place: Path) -> float:
    began = time.monotonic()
    build_by(way, distribution, place / way, {"DAG_JOBS": str(JOBS)})
    return time.monotonic() - began


def least(distribution: Distribution, store: Path) -> float:
    """Return max(critical path, work / jobs) in seconds, for the durations of the run itself."""
    opened = Store(store, Arch.parse(ARCH))
    opened.read()
    seconds = opened.seconds()
    graph = Graph(read_directory(distribution.directory, arch=ARCH).packages, arch=ARCH)
    ends: dict[str, float] = {}
    for package in graph.order(distribution.names):
        needs = [ends[name] for name in graph.installed(package.name) or () if name in ends]
        ends[package.name] = seconds[package.name] + max(needs, default=0.0)
    return max(*ends.values(), sum(seconds[name] for name in ends) / JOBS)


if __name__ == "__main__":
    sys.exit(explained(main))
