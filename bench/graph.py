"""How fast the graph is, as ratios against peers in the same run.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/graph.py

Prints one line a measurement: what, seconds, its ratio to the peer, and the limit. Exits with 1 if
one is over its limit. Where a limit is in seconds of the machine that set it, the plain PyYAML load
is the yardstick: it took 1.5 s there.
"""

from __future__ import annotations

import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from cluster.system import explained  # noqa: E402
from tests.support.distributions import SEED, TODAY, unpacked  # noqa: E402

SIZES = (25_000, 100_000)
LOAD_THERE = 1.5
"""Seconds that the plain load took where the limits were set."""
PLAIN_LOAD = """
import sys, yaml
from pathlib import Path
for path in sorted(Path(sys.argv[1]).glob("*.yaml")):
    yaml.load(path.read_bytes(), yaml.CSafeLoader)
"""


def seconds(command: list[str], cache: Path, times: int, fresh: Callable[[], None]) -> float:
    """Return the least wall time of `command`, which must succeed: what else runs only adds to it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_CACHE_HOME": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    taken = []
    for _ in range(times):
        fresh()
        start = time.perf_counter()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return min(taken)


class Report:
    """Prints what was measured against its limit."""

    def __init__(self) -> None:
        self.failed = False

    def line(self, what: str, value: float, limit: float, unit: str = "s", ratio: str = "") -> None:
        """Print one measurement."""
        verdict = "ok" if value <= limit else "OVER"
        self.failed |= value > limit
        print(f"{what:<52} {value:8.3f} {unit:<5} limit {limit:6.3f}  {verdict}  {ratio}")


def command_lines(report: Report) -> float:
    """Measure commands; how much slower this machine is than where the limits were set."""
    today, seed = unpacked(TODAY), unpacked(SEED)
    dag = [sys.executable, "-m", "dag"]
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place)

        def forget() -> None:
            for path in cache.rglob("*.msgpack"):
                path.unlink()

        def nothing() -> None:
            return

        text = [*dag, "text", "-d", str(today)]
        seconds(text, cache, 1, nothing)  # the interpreter's own caches
        plain = [sys.executable, "-c", PLAIN_LOAD, str(today)]
        load = cold = math.inf
        for _ in range(4):  # by turns, so that both meet the same machine
            load = min(load, seconds(plain, cache, 1, nothing))
            cold = min(cold, seconds(text, cache, 1, forget))
        scale = load / LOAD_THERE
        print(f"plain PyYAML load of 3,401 files: {load:.3f} s; limits in seconds × {scale:.2f}")
        warm = seconds(text, cache, 5, nothing)
        json = seconds([*text, "-t", "json"], cache, 3, nothing)
        small = seconds([*dag, "text", "-d", str(seed)], cache, 3, forget)
        small_warm = seconds([*dag, "text", "-d", str(seed)], cache, 5, nothing)
    report.line("text, 3,401 definitions, cold", cold / load, 1.15, "loads")
    report.line("text, 3,401 definitions, warm", warm / load, 0.35, "loads")
    report.line("text -t json, with all that is installed, warm", json / load, 0.8, "loads")
    report.line(
        "text, 342 definitions, cold", small, 0.3 * scale, ratio=f"{small / load:.2f} loads"
    )
    report.line("text, 342 definitions, warm", small_warm, 0.3 * scale)
    return scale


def synthetic(report: Report, scale: float) -> None:
    """Measure graphs of up to 100,000 packages and 1,000,000 needs, in processes of their own."""
    taken: dict[int, float] = {}
    memory = 0.0
    for size in SIZES:
        command = [sys.executable, __file__, "--synthetic", str(size)]
        outputs = [subprocess.check_output(command, text=True).split() for _ in range(3)]
        taken[size], memory = (min(map(float, values)) for values in zip(*outputs, strict=True))
        print(f"{size:,} packages, {10 * size:,} needs: {taken[size]:.3f} s")
    small, large = SIZES
    report.line("100,000 packages with constraints, 1,000,000 needs", taken[large], 4.0 * scale)
    report.line("  peak memory", memory, 1.0, "GiB")
    exponent = math.log(taken[large] / taken[small]) / math.log(large / small)
    report.line("  exponent of the growth", exponent, 1.1, "")


def build_synthetic(size: int) -> None:
    """Constraints on two of five needs; run-time chains of up to a hundred; some provided names."""
    from dag.core.graph.graph import Graph
    from dag.core.package.model import Need, Package

    rng = random.Random(1)
    names = [f"package-{number:06}" for number in range(size)]
    signs = ["", "", "", ">=1", "~1"]
    packages = []
    for number, name in enumerate(names):
        # A component in every thousand packages, and edges to what came before them.
        home = number - number % 1000
        near = [rng.randrange(home, home + 1000) for _ in range(2)] if number % 100 == 0 else []
        targets = near + [rng.randrange(max(home, 1)) for _ in range(9 - len(near))]
        texts = [names[target] + rng.choice(signs) for target in targets]
        texts.append(f"virtual-{rng.randrange(home // 50 + 1)}>=1")
        packages.append(
            Package(
                name=name,
                version="1.2",
                epoch=0,
                file=name,
                line=1,
                environment=tuple(Need(text, name, 1, "environment") for text in texts),
                runtime=(names[number - 1],) if number % 100 and number % 3 else (),
                provides=(f"virtual-{number // 50}={number % 5 + 1}",) if number % 25 == 0 else (),
            )
        )
    import gc

    gc.collect()
    gc.freeze()
    gc.disable()  # as the commands do
    start = time.process_time()
    graph = Graph(packages)
    order = graph.order()
    assert len(order) == size
    assert graph.closure([names[-1]])
    graph.components()
    taken = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(taken, peak)


def main() -> None:
    report = Report()
    synthetic(report, command_lines(report))
    raise SystemExit(report.failed)


if __name__ == "__main__":
    if "--synthetic" in sys.argv:
        build_synthetic(int(sys.argv[-1]))
    else:
        sys.exit(explained(main))
