"""What a person sees: the build's log on stdout, everything that dag says on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable


class Terminal:
    """The two streams of a command, plain lines whether piped or not.

    A reader of stdout who leaves (`dag pod | head`) ends the printing, not the build.
    """

    def __init__(self, *, verbosity: int = 0) -> None:
        self.verbosity = verbosity
        self.leaving = "nothing is left behind"
        """What a command that must leave at once leaves behind."""
        self._reading = True

    def say(self, text: str) -> None:
        """Tell what happens."""
        sys.stderr.write(f"dag: {text}\n")
        sys.stderr.flush()

    def detail(self, text: str) -> None:
        """Tell what only `-v` wants to know."""
        if self.verbosity:
            self.say(text)

    def log(self, container: str, lines: Iterable[bytes]) -> None:
        """Print lines of a container's log as they are, each behind the container's name."""
        if not self._reading:
            return
        prefix = f"[{container}] ".encode()
        try:
            sys.stdout.buffer.write(b"".join(b"%b%b\n" % (prefix, line) for line in lines))
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self._reading = False
            # The interpreter flushes once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.say("nobody reads the log any more; the build goes on")
