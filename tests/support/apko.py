"""apko's own resolver, asked live: what it takes for a need, what an environment installs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dag.core.package.candidates import Candidate

ROOT = Path(__file__).parents[2]


class Install(NamedTuple):
    """One way in which apko answered."""

    packages: tuple[int, ...]
    error: str = ""


class Answer(NamedTuple):
    """What apko says of an environment: each result that was seen, mostly one."""

    choices: dict[str, set[int]]
    """Need → the packages taken for it; -1 for none."""
    installs: list[Install]


@cache
def process(part: str, name: str) -> subprocess.Popen[str]:
    """A command of a part that the project builds, running; it ends with its input."""
    built = subprocess.run(
        [sys.executable, "-m", "cluster", "part", part],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return subprocess.Popen(
        [Path(built.stdout.split()[-1]) / name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _answer(command: subprocess.Popen[str], question: object) -> Any:
    assert command.stdin is not None
    assert command.stdout is not None
    command.stdin.write(json.dumps(question) + "\n")
    command.stdin.flush()
    return json.loads(command.stdout.readline())


def melange_installs(candidates: Sequence[Candidate], needs: Sequence[str]) -> set[str] | str:
    """Ask what apko installs where melange builds, each as `name=version`, or why it gives up."""
    question = {"packages": [one._asdict() for one in candidates], "needs": list(needs)}
    found = _answer(process("melange", "apko-locker"), question)
    return str(found["error"]) if "error" in found else set(found["installed"])


def ask(
    candidates: Sequence[Candidate], worlds: Sequence[Sequence[str]], *, tries: int = 2
) -> list[Answer]:
    """Ask apko what it takes for each need of each of `worlds`, and what it installs."""
    question = {
        "packages": [one._asdict() for one in candidates],
        "worlds": list(map(list, worlds)),
        "tries": tries,
    }
    return [
        Answer(
            choices={need: set(found) for need, found in one["choices"].items()},
            installs=[Install(tuple(i["packages"]), i.get("error", "")) for i in one["installs"]],
        )
        for one in _answer(process("apko", "apko-resolver"), question)
    ]
