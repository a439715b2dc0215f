"""Builds a distribution while its builder is killed again and again, and looks at what comes out."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

from cluster import parts

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """What `dag` runs with: the project's own sources, and melange in PATH."""
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
    }


def dag(directory: Path, *words: str) -> subprocess.Popen[str]:
    """Start `dag` in a directory; its stderr is a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "dag", *words],
        cwd=directory,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def build(directory: Path, store: Path, *words: str) -> str:
    """Build to the end; gives what was said.

    Raises:
        RuntimeError: it did not end well.

    """
    process = dag(directory, "build", "--store", str(store), *words)
    _, said = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"dag build ended with {process.returncode}:\n{said[-4000:]}")
    return said


def build_killed(
    directory: Path, store: Path, *words: str, kills: int, seed: int, most: int
) -> tuple[list[str], int]:
    """Build, and kill the builder (`kill -9`) at `kills` random moments; start it again each time.

    A moment is after some lines of its output (up to `most`) and then some time more, so that it
    falls anywhere: into builds, proofs, promotions. Answers the names that were said to be built,
    over all runs, and how often it was killed.
    """
    chance = random.Random(seed)
    built: list[str] = []
    killed = 0
    while True:
        process = dag(directory, "build", "--store", str(store), *words)
        assert process.stderr is not None
        lines = chance.randint(1, most)
        delay = chance.random() * 0.6
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("dag: built "):
                built.append(line.split()[2])
            if killed < kills and len(said) >= lines:
                break
        else:
            if process.wait() != 0:
                raise RuntimeError(f"dag build ended with {process.returncode}:\n{''.join(said)}")
            return built, killed
        # The kernel's clock on an empty pipe: a random moment, not a wait for something.
        select.select([], [], [], delay)
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[1]
        built += [line.split()[2] for line in rest.splitlines() if line.startswith("dag: built ")]
        killed += 1
