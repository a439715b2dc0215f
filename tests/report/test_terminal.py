"""A terminal that is gone or full."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_TALKS = """
from dag.report.terminal import Terminal
terminal = Terminal()
terminal.log("build", [b"one"])
terminal.log("build", [b"two"])
terminal.say("and goes on")
raise SystemExit(7)
"""


def unwritable(kind: str) -> int:
    """Return a descriptor that accepts nothing: a full disk, or a pipe without a reader."""
    if kind == "full":
        return os.open("/dev/full", os.O_WRONLY)
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("full", "the log cannot be written (No space left on device); the build goes on"),
        ("left", "nobody reads the log any more; the build goes on"),
    ],
)
def test_what_cannot_be_told_does_not_end_what_is_done(kind: str, said: str) -> None:
    command = [sys.executable, "-c", _TALKS]
    out = unwritable(kind)
    done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, f"dag: {said}\ndag: and goes on\n")
    assert subprocess.run(command, stdout=out, stderr=out, check=False).returncode == 7
    os.close(out)
