"""Builds of a distribution in which the builder is killed again and again."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cluster import parts

ROOT = Path(__file__).resolve().parents[2]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of `dag`: the sources of this checkout, melange in PATH, and `more`."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("DAG_")},
        "PATH": f"{parts.build('melange')}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        # Neither a Makefile nor melange may take these for its own.
        "REPO": "registry.example.com/dag",
        "ARCH": "m68k",
        "KEY": "/nonexistent",
        "MAKEFLAGS": "k",
        "SOURCE_DATE_EPOCH": "1700000000",
        **(more or {}),
    }


def dag(
    directory: Path, *words: str, more: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start `dag` in a directory, with its stderr in a pipe and `more` in its environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "dag", *words],
        cwd=directory,
        env=environment(more),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def build(directory: Path, store: Path, *words: str, more: Mapping[str, str] | None = None) -> str:
    """Build to the end with `more` in the environment, and return the output.

    Raises RuntimeError if the build did not end well.
    """
    process = dag(directory, "build", "--store", str(store), *words, more=more)
    _, said = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"dag build ended with {process.returncode}:\n{said[-4000:]}")
    return said


def build_killed(
    directory: Path,
    store: Path,
    *words: str,
    kills: int,
    seed: int,
    most: int,
    more: Mapping[str, str] | None = None,
) -> tuple[list[str], int]:
    """Build, kill the builder (`kill -9`) at `kills` random moments, and start it again each time.

    It is killed after a random number of lines of its output (at most `most`) and then a random
    time. So it dies at any point of a build, a proof or a promotion. Returns the names that were
    said to be built, over all runs, and how often it was killed.
    """
    chance = random.Random(seed)
    built: list[str] = []
    killed = 0
    while True:
        with dag(directory, "build", "--store", str(store), *words, more=more) as process:
            said, ended = _until(process, chance.randint(1, most) if killed < kills else None)
            if not ended:
                # The wait makes the moment random; it is no wait for something.
                select.select([], [], [], chance.random() * 0.6)
                process.send_signal(signal.SIGKILL)
                said += process.communicate()[1].splitlines()
        built += [line.split()[2] for line in said if line.startswith("dag: built ")]
        if ended:
            if process.returncode != 0:
                lines = "\n".join(said[-50:])
                raise RuntimeError(f"dag build ended with {process.returncode}:\n{lines}")
            return built, killed
        killed += 1


def _until(process: subprocess.Popen[str], lines: int | None) -> tuple[list[str], bool]:
    """Read the output of a process: all of it (True), or that many lines (False)."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line.rstrip("\n"))
        if len(said) == lines:
            return said, False
    return said, True
