"""Measure how soon the command line answers, as ratios to a bare interpreter in the same run.

    make venv && PYTHONPATH=src:. $(scripts/venv --print)/bin/python bench/start.py

It prints one line for each measurement: its name, the seconds, the limit, and the ratio to
`python -c pass`. The exit code is 1 if a measurement is over its limit. The limits were set on a
machine on which a bare interpreter takes `BARE_THERE`; if it takes longer, the limits are longer in
proportion.
"""

from __future__ import annotations

import math
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from bench.graph import Report  # noqa: E402

BARE_THERE = 0.025
"""Seconds of a bare interpreter on the machine of the limits, between 0.015 and 0.036."""
ROUNDS = 20
DEFINITION = "package:\n  name: one\n  version: '1'\n  epoch: 0\n"
COMPLETION = {"_DAG_COMPLETE": "bash_complete", "COMP_WORDS": "dag po", "COMP_CWORD": "1"}


def seconds(words: list[str], directory: Path, **more: str) -> float:
    """Return the processor time of one run, which must succeed, in seconds.

    A start waits for nothing, so this is the wall time on a machine that does nothing else.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "REPO": "registry.invalid/dag"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *words],
        env={**environment, "XDG_CACHE_HOME": str(directory / "cache"), **more},
        cwd=directory,
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    dag = ["-m", "dag"]
    pod = [*dag, "pod", "--create=false", "--push=false"]
    report = Report()
    bare = helped = completed = printed = math.inf
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "one.yaml").write_text(DEFINITION)
        (directory / "Makefile").write_text("packages/%.apk:\n\ttrue\n")
        for _ in range(ROUNDS):  # in turns, so that a busy moment affects all
            bare = min(bare, seconds(["-c", "pass"], directory))
            helped = min(helped, seconds([*dag, "--help"], directory))
            completed = min(completed, seconds(dag, directory, **COMPLETION))
            printed = min(printed, seconds(pod, directory))
    scale = max(1.0, bare / BARE_THERE)
    print(f"python -c pass: {bare:.3f} s; limits in seconds × {scale:.2f}")
    for what, value, limit in (
        ("--help", helped, 0.12),
        ("completion of `dag po`", completed, 0.12),
        ("pod --create=false --push=false, one definition", printed, 0.25),
    ):
        report.line(what, value, limit * scale, ratio=f"{value / bare:.1f} interpreters")
    raise SystemExit(report.failed)


if __name__ == "__main__":
    main()
