"""The streams that a person sees: what was asked for on stdout, everything that dag says on stderr.

Whatever is written goes through here, so that it is visible and nothing in it is obeyed; only what
`--help` prints is just `put`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

from dag.core.visible import visible_entry, visible_log_line
from dag.report.stdout import put, silence

if TYPE_CHECKING:
    from rich.console import Console

_PIECE = 1 << 20
"""Bytes of a line of a log that are written at once."""


class Paint(StrEnum):
    """The colours, as the numbers of ECMA-48's SGR."""

    FAILURE = "31"
    SUCCESS = "32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a command speaks: what `-q` and `--color` ask for."""

    quiet: bool = False
    """Whether only failures and what was asked for are told."""
    color: str = "auto"
    """`always`, `never`, or `auto` for colours on a terminal only."""

    def paints(self, stream: TextIO) -> bool:
        """Return whether there are colours on a stream; see https://no-color.org/."""
        if self.color != "auto":
            return self.color == "always"
        return shows_tables(stream) and not os.environ.get("NO_COLOR")


_manner = Manner()


def behave(manner: Manner) -> None:
    """Speak in this manner from now on, until the process ends."""
    global _manner  # noqa: PLW0603  # one process is one command, and it has one pair of streams
    _manner = manner


def current_manner() -> Manner:
    """Return how this process speaks."""
    return _manner


def shows_tables(stream: TextIO) -> bool:
    """Return whether a stream is a terminal on which what was written can be replaced.

    Without $TERM nobody knows what it obeys.
    """
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def console_of(stream: TextIO) -> Console:
    """Return what draws tables on a terminal, in its size of the moment.

    rich believes COLUMNS and LINES, which do not change when the terminal does.
    """
    from rich.console import Console

    around = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    plain = not _manner.paints(stream)
    return Console(file=stream, highlight=False, no_color=plain, _environ=around)


def tell(text: str, stream: TextIO | None = None, *, paint: Paint | None = None) -> None:
    """Write a line to stderr, or to `stream`; what follows a newline in it is indented.

    If nobody listens any more, what happens goes on, and the exit code tells.
    """
    stream = stream or sys.stderr
    shown = visible_entry(text)
    if paint and _manner.paints(stream):
        shown = f"\x1b[{paint.value}m{shown}\x1b[0m"
    try:
        stream.write(f"{shown}\n")
        stream.flush()
    except OSError:
        silence(stream)


def say(text: str) -> None:
    """Write a line to stderr that says who speaks; with `-q` say nothing."""
    if not _manner.quiet:
        tell(f"dag: {text}")


def complain(text: str) -> None:
    """Write a line about a failure to stderr, whatever the manner."""
    tell(f"dag: {text}", paint=Paint.FAILURE)


def instruct(lines: Iterable[str]) -> None:
    """Write to stderr what a CI service is to obey, with the escapes of that."""
    try:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)


def show(lines: Iterable[str]) -> None:
    """Write lines to stdout, as `show_document` does.

    Raises:
        InfrastructureError: they cannot be written.

    """
    show_document("".join(f"{visible_entry(line)}\n" for line in lines))


def show_document(text: str) -> None:
    """Write to stdout what has a form of its own, with the escapes of that: JSON, YAML, a script.

    If its reader has left, as in `dag text | head`, the command goes on, and its exit code tells.

    Raises:
        InfrastructureError: it cannot be written.

    """
    # As bytes: every document is UTF-8, whatever the terminal has. A path may have other bytes.
    put((), at_once=True)
    put((text.encode(errors="surrogateescape"),), at_once=True)


def show_log(lines: Iterable[bytes], *, raw: bool, at_once: bool) -> None:
    """Write lines of a log to stdout, made visible unless they are to be `raw`.

    Each line is seen `at_once`, or when there are enough of them. It ends early if its reader has left.

    Raises:
        InfrastructureError: they cannot be written.

    """
    for line in lines:
        if not put((line, b"\n") if raw else _visible_pieces(line), at_once=at_once):
            return
    put((), at_once=True)


def _visible_pieces(line: bytes) -> Iterator[bytes]:
    # As bytes: a stream of another encoding would refuse letters. And in pieces: a line may be very
    # long, and what is written out is four times as long.
    for start in range(0, len(line), _PIECE):
        yield visible_log_line(line[start : start + _PIECE]).encode()
    yield b"\n"


class Terminal:
    """The two streams of a command, plain lines whether piped or not.

    A reader of stdout who leaves (`dag pod | head`) ends the printing, not the build.
    """

    def __init__(self, *, verbosity: int = 0, subject: str = "", logs_aside: bool = False) -> None:
        """Name `subject` with everything that is said, where there are several.

        With `logs_aside` logs go to stderr, because stdout is for something else.
        """
        self.verbosity = verbosity
        self._logs_aside = logs_aside
        self._subject = subject
        self._reading = True
        self._said: set[str] = set()

    def about(self, subject: str) -> Terminal:
        """Return a terminal that names its subject, behind this one's; without any, this one."""
        if not subject:
            return self
        within = f"{self._subject} {subject}".lstrip()
        return Terminal(verbosity=self.verbosity, subject=within, logs_aside=self._logs_aside)

    def say(self, text: str) -> None:
        """Say what happens."""
        subject = f"{self._subject}: " if self._subject else ""
        say(f"{subject}{text}")

    def complain(self, text: str) -> None:
        """Say what failed, also to those who gave `-q`."""
        complain(f"{self._subject}: {text}" if self._subject else text)

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
        stream = sys.stderr if self._logs_aside else sys.stdout
        prefix = f"[{self._subject}{'/' if self._subject else ''}{container}] "
        try:
            for line in lines:
                stream.buffer.write(prefix.encode())
                stream.buffer.writelines(_visible_pieces(line))
            stream.buffer.flush()
        except OSError as error:
            self._reading = False
            silence(stream)
            if isinstance(error, BrokenPipeError):
                self.say("nobody reads the log any more; the build goes on")
            else:
                self.say(f"the log cannot be written ({error.strerror}); the build goes on")
