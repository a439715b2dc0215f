"""The place of the progress of builds: lines, and on a terminal a table of each below them."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TextIO

from dag.core.visible import visible_entry
from dag.report.stdout import silence
from dag.report.table import LiveTable, TableStack
from dag.report.terminal import Paint, console_of, current_manner, shows_tables, tell

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

_CLEAR_ALL = "\x1b[H\x1b[J"
"""What makes a terminal go to its first row and clear all; many keep what was there in their history."""
_KEPT = 200
"""How many of the last lines can be written again on a terminal that has got another size."""
_STYLES = {Paint.FAILURE: "red", Paint.SUCCESS: "green"}


class Screen:
    """One stream for the builds of a command, of which there is one for each architecture."""

    def __init__(self, stream: TextIO | None = None, *, is_shared: bool = False) -> None:
        """Take the stream, which is stderr if none is given.

        `is_shared` says whether there are several builds, so that each has to say which it is.
        """
        self.is_shared = is_shared
        self._stream = stream or sys.stderr
        self._tables = TableStack()
        self._live: Live | None = None
        self._size: tuple[int, int] | None = None
        self._last: deque[tuple[str, Paint | None]] = deque(maxlen=_KEPT)
        manner = current_manner()
        self._is_quiet = manner.quiet
        self._shows_tables = shows_tables(self._stream) and not manner.quiet

    @property
    def has_tables(self) -> bool:
        """Return whether tables are shown now."""
        return self._live is not None

    def show(self, table: LiveTable) -> None:
        """Show a table from now on, if this is a terminal."""
        if not self._shows_tables:
            return
        self._tables.add(table)
        if self._live is None:
            from rich.live import Live

            console = console_of(self._stream)
            self._size = console.size
            self._live = Live(self._tables, console=console, auto_refresh=False, transient=True)
            self._live.start()

    def remove(self, table: LiveTable) -> None:
        """Show a table no more."""
        self._tables.remove(table)
        if self._live is not None and not self._tables:
            self._draw(self._live.stop)
            self._live = None

    def refresh(self) -> None:
        """Draw the tables anew."""
        if self._live is not None:
            self._draw(self._live.refresh)

    def say(self, text: str, paint: Paint | None = None) -> None:
        """Write a line, above the tables if there are any; with `-q` nothing."""
        if not self._is_quiet:
            self.write(text, paint)

    def write(self, text: str, paint: Paint | None = None) -> None:
        """Write a line, above the tables if there are any."""
        self._last.append((text, paint))
        if self._live is None:
            tell(text, self._stream, paint=paint)
        else:
            self._draw(partial(self._write_above, self._live.console, text, paint))

    def _write_above(self, console: Console, text: str, paint: Paint | None) -> None:
        style = _STYLES[paint] if paint else None
        console.out(visible_entry(text), style=style, highlight=False)

    def _draw(self, draw: Callable[[], object]) -> None:
        try:
            self._begin_anew_if_resized()
            draw()
        except OSError:  # the terminal is gone; the builds are not
            self._live = None
            self._shows_tables = False
            silence(self._stream)

    def _begin_anew_if_resized(self) -> None:
        """Clear the terminal if it has got another size, and write the last lines again.

        Nothing else is sure to leave no row of a table of before: some terminals break lines that
        have become too long, some cut them, and some tell late of their new size, when a table has
        been drawn in the old one.
        """
        if self._live is None or (size := self._live.console.size) == self._size:
            return
        self._size = size
        self._stream.write(_CLEAR_ALL)
        for text, paint in [*self._last][-size.height :]:
            tell(text, self._stream, paint=paint)
        # rich goes up by as many rows as the tables had when it drew them for the last time.
        self._stream.write("\n" * (self._tables.height - 1))
