"""How fast apko's choices are made, as ratios against a peer in the same run.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/resolve.py

Prints one line a measurement: what, seconds of this process's own time, its ratio to a plain PyYAML
load of the same definitions, and the limit. Exits with 1 if one is over its limit.
"""

from __future__ import annotations

import gc
import math
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from dag.core.package import constraints  # noqa: E402
from dag.core.package.candidates import Candidate  # noqa: E402
from dag.core.package.environments import Environments  # noqa: E402
from dag.core.package.resolver import Resolver  # noqa: E402
from dag.core.package.supply import Supply  # noqa: E402
from dag.io.package.definitions import read  # noqa: E402
from tests.support.distributions import TODAY, unpacked  # noqa: E402

TIMES = 7
SIZES = (25_000, 100_000)
LOAD_THERE = 1.5
"""Seconds that the plain load took where the limits in seconds were set."""


class Report:
    """Prints what was measured against its limit."""

    def __init__(self) -> None:
        self.failed = False

    def line(self, what: str, value: float, limit: float, unit: str) -> None:
        """Print one measurement."""
        verdict = "ok" if value <= limit else "OVER"
        self.failed |= value > limit
        print(f"{what:<52} {value:8.3f} {unit:<6} limit {limit:6.3f}  {verdict}")


def least(work: Callable[[], object], times: int = TIMES) -> float:
    """Return the least time that this process spent on `work`: what else runs only adds to it."""
    taken = math.inf
    for _ in range(times):
        gc.collect()
        start = time.process_time()
        work()
        taken = min(taken, time.process_time() - start)
    return taken


def plain_load(directory: Path) -> None:
    for path in sorted(directory.glob("*.yaml")):
        yaml.load(path.read_bytes(), yaml.CSafeLoader)


def distribution(report: Report) -> float:
    """Measure all choices and installs of a real one; how slow this machine is."""
    directory = unpacked(TODAY)
    packages = [one for one in read(directory, arch="x86_64") if one.builds_on("x86_64")]
    load = least(lambda: plain_load(directory), 3)
    print(f"plain PyYAML load of 3,401 files: {load:.3f} s")

    def decided() -> tuple[Supply, Environments]:
        constraints.version.cache_clear()
        constraints.is_version.cache_clear()
        supply = Supply(packages)
        return supply, Environments(supply.resolver, [supply.needs(one) for one in packages])

    def settled() -> Environments:
        _, environments = decided()
        for place in range(len(packages)):
            if not environments.is_plain(place):
                environments.install(place)
        return environments

    def installed() -> None:
        supply, environments = decided()
        for place in range(len(packages)):
            found = environments.install(place)
            if isinstance(found, frozenset):
                supply.owners(found)

    report.line("choices for 33,000 needs", least(decided) / load, 0.12, "loads")
    report.line("  and what is not plain, solved", least(settled) / load, 0.2, "loads")
    report.line("all that 3,400 environments install", least(installed) / load, 0.3, "loads")
    return load / LOAD_THERE


def synthetic(report: Report, scale: float) -> None:
    """Environments with constraints, ten times as many needs, in processes of their own."""
    taken = {}
    memory = 0.0
    for size in SIZES:
        command = [sys.executable, __file__, "--synthetic", str(size)]
        outputs = [subprocess.check_output(command, text=True).split() for _ in range(3)]
        taken[size], memory = (min(map(float, values)) for values in zip(*outputs, strict=True))
        print(f"{size:,} packages, {10 * size:,} needs: {taken[size]:.3f} s")
    small, large = SIZES
    exponent = math.log(taken[large] / taken[small]) / math.log(large / small)
    # Four seconds are for the whole graph, and this is a part of it.
    report.line("100,000 packages with constraints, 1,000,000 needs", taken[large], 3 * scale, "s")
    report.line("  peak memory", memory, 0.5, "GiB")
    # Nothing here is done more than once for each need; what grows beyond that is the memory's
    # time to answer, which depends on what else the machine does.
    report.line("  exponent of the growth", exponent, 1.3, "")


def build_synthetic(size: int) -> None:
    """Constraints on half of the needs; run-time chains of up to a hundred; some virtual names."""
    rng = random.Random(1)
    names = [f"package-{number:06}" for number in range(size)]
    signs = ["", "", "", ">=1", "~1"]
    candidates, worlds = [], []
    for number, name in enumerate(names):
        depends = (names[number - 1],) if number % 100 and number % 3 else ()
        provides = (f"virtual-{number // 50}={number % 5 + 1}",) if number % 25 == 0 else ()
        candidates.append(Candidate(name, "1.2-r0", name, depends, provides))
        targets = [rng.randrange(max(number, 1)) for _ in range(9)]
        needs = [names[target] + rng.choice(signs) for target in targets]
        worlds.append([*needs, f"virtual-{rng.randrange(number // 50 + 1)}>=1"])
    gc.collect()
    gc.freeze()
    gc.disable()
    start = time.process_time()
    environments = Environments(Resolver(candidates, externals=True), worlds)
    assert sum(map(environments.is_plain, range(size))) > 0.9 * size
    taken = time.process_time() - start
    print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def main() -> None:
    report = Report()
    synthetic(report, distribution(report))
    raise SystemExit(report.failed)


if __name__ == "__main__":
    if "--synthetic" in sys.argv:
        build_synthetic(int(sys.argv[-1]))
    else:
        main()
