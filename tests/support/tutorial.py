"""Somebody who types what the tutorial says, and sees what it says that is printed.

`python3 -m tests.support.tutorial DIRECTORY` does that with the `dag` and the melange in PATH.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
ROOT = TUTORIAL.parents[1]
ONLINE = ("dag init hello",)
"""What only somebody types who has a network: the tutorial says what others type in its place."""
_SOMEBODY = {
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "user.name",
    "GIT_CONFIG_VALUE_0": "a",
    "GIT_CONFIG_KEY_1": "user.email",
    "GIT_CONFIG_VALUE_1": "a@example.com",
}


def steps() -> list[tuple[str, list[str]]]:
    """Return the commands of the tutorial, each with what it is said to print; … is anything.

    They are those of somebody who has no network.
    """
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(
        r"^```console\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL
    ):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return [(command, printed) for command, printed in found if command not in ONLINE]


def follow_tutorial(place: Path, environment: Mapping[str, str]) -> None:
    """Type all of it in the directory `place`. Raises AssertionError if something else is printed."""
    place.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (command, _) in enumerate(steps()):
        lines += [f"echo {shlex.quote(f'@{number}')}", f"{{ {command}; }} 2>&1"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=place,
        env={**environment, **_SOMEBODY, "CLONE": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    printed = re.split(r"^@\d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(printed) == len(steps()) > 15
    for (command, expected), text in zip(steps(), printed, strict=True):
        missing = [part for line in expected for part in line.split("…") if part not in text]
        assert missing == [], f"$ {command}\n{text}"


if __name__ == "__main__":
    follow_tutorial(Path(sys.argv[1]), os.environ)
