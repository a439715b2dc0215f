"""Measure how work on what strangers write grows when the input doubles.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/linear.py

Each input doubles three times. One line for each kind of input tells the processor's time of the
largest one, by how much the time has grown at each doubling, on average, and the limit. What is
linear grows by 2, what is quadratic by 4. The exit code is 1 if something is over the limit.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.support.work import WORK, seconds  # noqa: E402

ENOUGH = 0.003
"""Seconds; below, a clock and a cache say more than the work."""
DOUBLINGS = 3
LIMIT = 3.2
"""Between both; what fits into no cache costs more a byte."""
ROUNDS = 5
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}
"""Otherwise each text that is longer than a few hundred KiB gets new pages of the kernel, which cost
several times as much as the work, and what is linear seems to grow faster where that begins."""


def best(work: Callable[[int], object], size: int) -> float:
    return min(seconds(work, size) for _ in range(ROUNDS))


def main() -> int:
    failed = False
    for what, (work, begin) in WORK.items():
        size = begin
        while (first := best(work, size)) < ENOUGH and size < 1 << 24:
            size *= 2
        last = best(work, size << DOUBLINGS)
        growth = (last / max(first, 1e-6)) ** (1 / DOUBLINGS)
        is_over = growth > LIMIT
        failed |= is_over
        print(
            f"{what:<36} {last:8.3f} s  x{growth:.2f} (limit x{LIMIT}){'  OVER' if is_over else ''}",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    if ALLOCATOR.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR})
    sys.exit(main())
