"""Programs in place of those that need a cloud or a container engine: they record and answer.

Their state is in `$STANDIN/world.json`, so that one call finds what another has made. Every call is
written to `$STANDIN/calls.jsonl`. `$STANDIN/faults.json` lists words: a call that changes something
and has all words of an entry fails once, as that entry says.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

HANG = "hang"
"""A fault in which the call does not end by itself; its pid is in `$STANDIN/hanging`."""
IGNORE = "ignore"
"""A fault in which the call does nothing and says that it succeeded."""
CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Call:
    """One call: its words, and its standard input."""

    argv: tuple[str, ...]
    stdin: str

    def __str__(self) -> str:
        return " ".join(self.argv)


@dataclass
class Standins:
    """A directory of programs for PATH, and the record of their calls."""

    directory: Path
    names: tuple[str, ...] = ("gcloud", "kind", "docker")
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        programs = self.directory / "bin"
        programs.mkdir(parents=True)
        for name in self.names:
            module = "kind" if name == "docker" else name
            program = programs / name
            run = f'{sys.executable} -m tests.support.standins.{module} {name} "$@"'
            program.write_text(f"#!/bin/sh\nPYTHONPATH={CHECKOUT}:{CHECKOUT}/src exec {run}\n")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.environment = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "STANDIN": str(self.directory),
        }

    def calls(self) -> list[Call]:
        """Return all calls since the last time."""
        file = self.directory / "calls.jsonl"
        if not file.exists():
            return []
        lines = file.read_text().splitlines()
        file.unlink()
        return [Call(tuple(call["argv"]), call["stdin"]) for call in map(json.loads, lines)]

    def changes(self) -> list[Call]:
        """Return the calls since the last time that changed something."""
        return [call for call in self.calls() if not is_question(call.argv)]

    def fail(self, *words: str, saying: str) -> None:
        """Make the next change that has these words fail."""
        file = self.directory / "faults.json"
        faults = json.loads(file.read_text()) if file.exists() else []
        file.write_text(json.dumps([*faults, {"words": words, "saying": saying}]))

    def world(self) -> dict[str, object]:
        """Return what the programs have made."""
        file = self.directory / "world.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}


def is_question(argv: tuple[str, ...]) -> bool:
    """Return whether a call only asks, and changes nothing."""
    return bool(
        {"describe", "list", "get-iam-policy", "get-value", "get", "inspect", "cat"} & set(argv[:6])
    )
