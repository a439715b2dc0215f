"""The command that fuzzes every parser: `python3 -m tests.fuzz`, guided by what code a text reaches.

Each parser gets its share of the time, in a process of its own: https://github.com/google/atheris.
What it finds stays in the directory of --found. --keep puts what reaches new code into the corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
_RSS_MIB = 256
_LONGEST = 1 << 16
"""Bytes of a text that is tried."""
_SLOWEST = 10
"""Seconds that one text may take."""
_KEPT = 24
"""Files of one target that --keep leaves in the corpus, the shortest ones."""


def main() -> int:
    """Fuzz, print a line for each target, and return 1 if one has failed."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="the parsers; all of them if none is named")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all of them together")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--found", type=Path, default=Path("/tmp/dag-fuzz"))
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given, more = parser.parse_known_args()
    if given.one:
        return fuzz(given.one, [*more, *given.targets])  # which are directories then
    from tests.fuzz.targets import TARGETS

    names = given.targets or list(TARGETS)
    seconds = max(1, round(given.seconds * given.jobs / len(names)))
    given.found.mkdir(parents=True, exist_ok=True)

    def run(name: str) -> bool:
        return run_target(name, seconds, given.found, keep=given.keep)

    with ThreadPoolExecutor(given.jobs) as pool:
        return 0 if all([*pool.map(run, names)]) else 1


def run_target(name: str, seconds: int, found: Path, *, keep: bool) -> bool:
    """Fuzz one target in a process of its own, and return whether it withstood."""
    with tempfile.TemporaryDirectory() as place:
        new = Path(place) / "new"
        new.mkdir()
        flags = [
            f"-max_total_time={seconds}",
            f"-rss_limit_mb={_RSS_MIB}",
            f"-max_len={_LONGEST}",
            f"-timeout={_SLOWEST}",
            f"-artifact_prefix={found}/{name}-",
            "-print_final_stats=1",
        ]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.fuzz",
                "--one",
                name,
                *flags,
                str(new),
                str(CORPUS / name),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stderr.splitlines()
        numbers = {
            words[0].removeprefix("stat::").rstrip(":"): words[1]
            for line in said
            if len(words := line.split()) == 2 and words[0].startswith("stat::")
        }
        tried, peak = numbers.get("number_of_executed_units", "?"), numbers.get("peak_rss_mb", "?")
        print(
            f"{name}: {tried} texts, {peak} MiB"
            + (f": FAILED with {done.returncode}" if done.returncode else "")
        )
        if done.returncode:
            print("\n".join(f"  {line}" for line in (done.stdout.splitlines() + said)[-40:]))
        if keep:
            keep_shortest(CORPUS / name, new)
    return done.returncode == 0


def keep_shortest(corpus: Path, new: Path) -> None:
    """Add the shortest of what reaches new code to the corpus, up to its size."""
    corpus.mkdir(exist_ok=True)
    room = _KEPT - len([*corpus.iterdir()])
    for path in sorted(new.iterdir(), key=lambda path: path.stat().st_size)[: max(0, room)]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        shutil.copy(path, corpus / digest)


def fuzz(name: str, flags: list[str]) -> int:
    """Run one target until its time is over; this process ends there."""
    import atheris

    with atheris.instrument_imports(include=["dag"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *flags], TARGETS[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
