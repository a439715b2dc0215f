"""The command `make torture`: builds that meet every mishap end like an unbroken one.

One is killed at random, again and again. Then definitions change, and only what comes out differently
is built again. Another store takes all that from the first. A third one has too small a disk.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.torture.distribution import contents, generate, index
from tests.torture.kills import build, build_killed, dag

Problems = dict[str, list[str]]


def main() -> int:
    """Run all parts, print what differs, and return 0 if nothing does."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.torture", description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="torture-"))
    os.environ["XDG_DATA_HOME"] = str(place / "data")
    try:
        torture = Torture(place, given.count, given.kills, given.jobs, given.seed)
        problems: Problems = {}
        for part in (torture.kill, torture.change, torture.share, torture.fill):
            began = time.monotonic()
            found = {f"{part.__name__}: {what}": which for what, which in part().items() if which}
            print(f"{part.__name__}: {time.monotonic() - began:.0f} s", flush=True)
            problems |= found
    finally:
        shutil.rmtree(place, ignore_errors=True)
    for what, which in problems.items():
        print(f"{what}: {', '.join(which)}")
    print("FAILED" if problems else "equal")
    return int(bool(problems))


class Torture:
    """A distribution, and the stores that it is built into."""

    def __init__(self, place: Path, count: int, kills: int, jobs: int, seed: int) -> None:
        self.place = place
        self.count, self.kills, self.jobs, self.seed = count, kills, jobs, seed
        self.distribution = place / "distribution"
        self.one, self.many = place / "one", place / "many"
        generate(self.distribution, count=count, seed=seed)

    def kill(self) -> Problems:
        """Build once unbroken with one job, and once killed with many jobs."""
        began = time.monotonic()
        build(self.distribution, self.one, "--jobs", "1")
        print(f"unbroken, 1 job: {time.monotonic() - began:.0f} s", flush=True)
        built, killed = self._build_killed()
        return {
            **differences(self.one, self.many),
            "built twice": twice(built),
            "not enough kills": [str(killed)] * (killed < self.kills),
        }

    def change(self) -> Problems:
        """Change definitions, some in effect and some not; then turn them back."""
        chance = random.Random(self.seed)
        files = sorted(self.distribution.glob("p*.yaml"))
        chosen = chance.sample(files, max(2, self.count // 30))
        before = {path: path.read_text() for path in chosen}
        for number, path in enumerate(chosen):
            text = before[path]
            # Half of them come out the same.
            changed = text.replace(f"echo {path.stem};", f"echo {path.stem} changed;")
            path.write_text(changed if number % 2 else f"# nothing changes\n{text}")
        words = ["--rebuild", "dependents"]
        built, _ = self._build_killed(*words)
        build(self.distribution, self.place / "fresh", "--jobs", str(self.jobs))
        # What had its record when its builder was killed was never said to be built.
        left = build(self.distribution, self.many, "--jobs", str(self.jobs), *words)
        problems = {
            **differences(self.place / "fresh", self.many),
            "built twice": twice(built),
            "left to build": said_built(left),
            "nothing was cut off": ["all"] * (len({*built}) == self.count),
        }
        print(f"{len({*built})} of {self.count} built again for {len(chosen)} changes", flush=True)
        for path, text in before.items():
            path.write_text(text)
        said = build(self.distribution, self.many, "--jobs", str(self.jobs), *words)
        problems["built although they had been turned back"] = said_built(said)
        for what, which in differences(self.one, self.many).items():
            problems[f"turned back, {what}"] = which
        return problems

    def share(self) -> Problems:
        """Build into an empty store from another one's."""
        shared = self.place / "shared"
        said = build(self.distribution, shared, "--from", str(self.many))
        return {**differences(self.one, shared), "built": said_built(said)}

    def fill(self) -> Problems:
        """Build on a disk that is full in the middle, and then is not."""
        size = sum(path.stat().st_size for path in self.one.rglob("*") if path.is_file())
        with small_disk(self.place / "disk", size // 2) as disk:
            words = ("--store", str(disk), "--jobs", str(self.jobs))
            was_full = False
            with dag(self.distribution, "build", *words) as process:
                assert process.stderr is not None
                for line in process.stderr:
                    if not was_full and "no space left" in line.lower():
                        was_full = True
                        grow(disk, size * 8 + (512 << 20))
            problems = {
                "it was never full": ["disk"] * (not was_full),
                "exit code": [str(process.returncode)] * (process.returncode != 0),
            }
            if process.returncode != 0:
                build(self.distribution, disk, "--jobs", str(self.jobs))
            return {**problems, **differences(self.one, disk)}

    def _build_killed(self, *words: str) -> tuple[list[str], int]:
        built, killed = build_killed(
            self.distribution,
            self.many,
            "--jobs",
            str(self.jobs),
            *words,
            kills=self.kills,
            seed=self.seed,
            most=max(4, 2 * self.count // (self.kills + 1)),
        )
        print(f"killed {killed} times, {self.jobs} jobs", flush=True)
        return built, killed


def said_built(said: str) -> list[str]:
    """Return the lines of a build's output that say that something is built."""
    return [line for line in said.splitlines() if line.startswith("dag: built ")]


def differences(one: Path, other: Path) -> Problems:
    """Return what differs between two stores, and what is wrong in the second."""
    first, second = contents(one), contents(other)
    left = [path for path in (other / ".dag").rglob("*") if ".tmp" in path.name]
    left += [*(other / ".dag" / "work").iterdir()]
    left += [path for path in (other / "x86_64").iterdir() if path.name.startswith(".")]
    with dag(other, "store", "verify", "--store", str(other)) as verified:
        verified.communicate()
    return {
        "packages that differ": _unequal(first, second),
        "left behind": [str(path) for path in left],
        "indexes differ": [""] * (index(one) != index(other)),
        "index and files differ": sorted({*index(other)} ^ {*second}),
        "dag store verify": [str(verified.returncode)] * (verified.returncode != 0),
    }


def _unequal(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def twice(built: list[str]) -> list[str]:
    """Return the names that are there more than once."""
    return sorted({name for name in built if built.count(name) > 1})


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """Mount a disk with so many bytes, as long as the context lasts."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    subprocess.run(mount, check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def grow(disk: Path, size: int) -> None:
    """Let a disk have so many bytes."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


if __name__ == "__main__":
    sys.exit(main())
