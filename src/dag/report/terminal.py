"""The streams that a person sees: what was asked for on stdout, everything that dag says on stderr.

Whatever is written goes through here, so that it is visible and nothing in it is obeyed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TextIO

from dag.core.visible import visible_entry, visible_log_line

_PIECE = 1 << 20
"""Bytes of a line of a log that are written at once."""


def tell(text: str, stream: TextIO | None = None) -> None:
    """Write a line to stderr, or to `stream`; what follows a newline in it is indented.

    If nobody listens any more, what happens goes on, and the exit code tells.
    """
    stream = stream or sys.stderr
    try:
        stream.write(f"{visible_entry(text)}\n")
        stream.flush()
    except OSError:
        silence(stream)


def say(text: str) -> None:
    """Write a line to stderr that says who speaks."""
    tell(f"dag: {text}")


def show(lines: Iterable[str]) -> None:
    """Write lines to stdout.

    Raises:
        OSError: nobody reads them any more, or they cannot be written.

    """
    show_document("".join(f"{visible_entry(line)}\n" for line in lines))


def show_document(text: str) -> None:
    """Write to stdout what has a form of its own, with the escapes of that: JSON, YAML, a script.

    Raises:
        OSError: nobody reads it any more, or it cannot be written.

    """
    sys.stdout.write(text)
    sys.stdout.flush()


def show_log(lines: Iterable[bytes], *, raw: bool, at_once: bool) -> None:
    """Write lines of a log to stdout, made visible unless they are to be `raw`.

    Each line is seen `at_once`, or when there are enough of them.

    Raises:
        OSError: nobody reads them any more, or they cannot be written.

    """
    for line in lines:
        if raw:
            sys.stdout.buffer.write(line + b"\n")
        else:
            _write_log_line(line)
        if at_once:
            sys.stdout.buffer.flush()
    sys.stdout.buffer.flush()


def _write_log_line(line: bytes) -> None:
    # As bytes: a stream of another encoding would refuse letters. And in pieces: a line may be very
    # long, and what is written out is four times as long.
    for start in range(0, len(line), _PIECE):
        piece = line[start : start + _PIECE]
        sys.stdout.buffer.write(visible_log_line(piece).encode())
    sys.stdout.buffer.write(b"\n")


class Terminal:
    """The two streams of a command, plain lines whether piped or not.

    A reader of stdout who leaves (`dag pod | head`) ends the printing, not the build.
    """

    def __init__(self, *, verbosity: int = 0, subject: str = "") -> None:
        """Name `subject` with everything that is said, where there are several."""
        self.verbosity = verbosity
        self._subject = subject
        self._reading = True
        self._said: set[str] = set()

    def about(self, subject: str) -> Terminal:
        """Return a terminal that names its subject; without any, this one."""
        return Terminal(verbosity=self.verbosity, subject=subject) if subject else self

    def say(self, text: str) -> None:
        """Say what happens."""
        subject = f"{self._subject}: " if self._subject else ""
        say(f"{subject}{text}")

    def say_once(self, text: str) -> None:
        """Say what may be found out several times, such as for each architecture."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def detail(self, text: str) -> None:
        """Say what only those want to know who gave `-v`."""
        if self.verbosity:
            self.say(text)

    def log(self, container: str, lines: Iterable[bytes]) -> None:
        """Print lines of a container's log, made visible, each behind the container's name."""
        if not self._reading:
            return
        prefix = f"[{self._subject}{'/' if self._subject else ''}{container}] "
        try:
            for line in lines:
                sys.stdout.buffer.write(prefix.encode())
                _write_log_line(line)
            sys.stdout.buffer.flush()
        except OSError as error:
            self._reading = False
            silence(sys.stdout)
            if isinstance(error, BrokenPipeError):
                self.say("nobody reads the log any more; the build goes on")
            else:
                self.say(f"the log cannot be written ({error.strerror}); the build goes on")


def silence(stream: TextIO) -> None:
    """Send what is written from now on nowhere: the interpreter flushes once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
