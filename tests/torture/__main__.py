"""The command `make torture`: a build that is killed at random ends like an unbroken one."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.torture.distribution import contents, generate, index
from tests.torture.kills import build, build_killed


def main() -> int:
    """Compare both builds, print what differs, and return 0 if nothing does."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.torture", description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="torture-"))
    try:
        return compare(place, given.count, given.kills, given.jobs, given.seed)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def compare(place: Path, count: int, kills: int, jobs: int, seed: int) -> int:
    """Build twice: once unbroken with one job, and once killed with many jobs."""
    generate(place / "distribution", count=count, seed=seed)
    began = time.monotonic()
    build(place / "distribution", place / "one", "--jobs", "1")
    print(f"unbroken, 1 job: {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    most = max(4, 2 * count // (kills + 1))
    built, killed = build_killed(
        place / "distribution",
        place / "many",
        "--jobs",
        str(jobs),
        kills=kills,
        seed=seed,
        most=most,
    )
    print(f"killed {killed} times, {jobs} jobs: {time.monotonic() - began:.0f} s", flush=True)
    one, many = contents(place / "one"), contents(place / "many")
    twice = sorted({name for name in built if built.count(name) > 1})
    left = [path for path in (place / "many" / ".dag").rglob("*") if ".tmp" in path.name]
    left += [*(place / "many" / ".dag" / "work").iterdir()]
    left += [path for path in (place / "many" / "x86_64").iterdir() if path.name.startswith(".")]
    problems = {
        "packages that differ": sorted(
            name for name in one.keys() | many.keys() if one.get(name) != many.get(name)
        ),
        "built twice": twice,
        "left behind": [str(path) for path in left],
        "not enough kills": [str(killed)] * (killed < kills),
        "indexes differ": [""] * (index(place / "one") != index(place / "many")),
        "index and files differ": sorted({*index(place / "many")} ^ {*many}),
    }
    print(f"{len(many)} packages of {count} definitions, seed {seed}")
    for what, which in problems.items():
        if which:
            print(f"{what}: {', '.join(which)}")
    print("FAILED" if any(problems.values()) else "equal")
    return int(any(problems.values()))


if __name__ == "__main__":
    sys.exit(main())
