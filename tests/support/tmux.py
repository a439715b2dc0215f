"""A real terminal emulator that needs no window: tmux, whose size can be changed."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

APT = Path(__file__).parents[2] / "scripts" / "apt"
_LONGEST = 120.0
"""Seconds until somebody who waits for something on the screen gives up."""


class Tmux:
    """A terminal in which one command runs, and what a person sees there."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def press(self, key: str) -> None:
        """Press a key, as tmux calls it, such as C-c."""
        self._tmux("send-keys", key)

    def screen(self) -> list[str]:
        """Return the lines of the screen, down to the last one on which there is anything."""
        return self._tmux("capture-pane", "-p").rstrip().split("\n")

    def told(self) -> str:
        """Return all that was written and not cleared again, as one text without line breaks."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-").rstrip()

    def wait(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Return the lines of the screen as soon as `seen` is true of them. Raises AssertionError."""
        deadline = time.monotonic() + _LONGEST
        while not seen(lines := self.screen()):
            assert time.monotonic() < deadline, "\n".join(lines)
            time.sleep(0.05)
        return lines

    def _tmux(self, *words: str) -> str:
        return _run(self._socket, *words)


@contextmanager
def tmux(
    place: Path,
    command: Sequence[str],
    *,
    columns: int,
    rows: int,
    cwd: Path,
    environment: Mapping[str, str],
) -> Iterator[Tmux]:
    """Run a command in a terminal, which stays after its end; `place` is a directory for a socket."""
    subprocess.run([APT, "tmux"], check=True)
    socket = place / "tmux"
    size = ("-x", str(columns), "-y", str(rows))
    script = f'{shlex.join(command)}; echo "it ended with $?"; read -r _'
    new = ["tmux", "-f", os.devnull, "-S", os.fspath(socket), "new-session", "-d", *size]
    subprocess.run([*new, "bash", "-c", script], cwd=cwd, env=dict(environment), check=True)
    try:
        yield Tmux(socket)
    finally:
        _run(socket, "kill-server")


def _run(socket: Path, *words: str) -> str:
    done = subprocess.run(
        ["tmux", "-S", os.fspath(socket), *words], check=True, capture_output=True, text=True
    )
    return done.stdout
