"""A terminal of any size, and what a person sees on it after a program has run there."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from pathlib import Path

import pyte

SOURCES = Path(__file__).parents[2]


class Terminal:
    """A pseudo-terminal of the kernel, whose screen is that of an emulated VT100."""

    def __init__(self, columns: int, rows: int, told: tuple[int, int] | None = None) -> None:
        """Make a terminal; `told` are the columns and rows that a program is told, if these are others."""
        self.screen = pyte.Screen(columns, rows)
        self.told = told or (columns, rows)
        self.raw = b""

    def run(self, script: str, *arguments: str, **variables: str) -> int:
        """Run a Python script on the terminal to its end; return its exit code."""
        master, slave = os.openpty()
        columns, rows = self.told
        termios.tcsetwinsize(slave, (rows, columns))
        path = os.pathsep.join((os.fspath(SOURCES / "src"), os.fspath(SOURCES)))
        command = [sys.executable, "-c", script, *arguments]
        environment = {"PATH": os.defpath, "TERM": "xterm-256color", "PYTHONPATH": path}
        with subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment, **variables},
            start_new_session=True,
        ) as process:
            os.close(slave)
            stream = pyte.ByteStream(self.screen)
            while piece := _read(master):
                self.raw += piece
                stream.feed(piece)
        os.close(master)
        return process.returncode

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, down to the last one on which there is anything."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError:  # Linux says EIO when nobody has the other end open any more
        return b""
