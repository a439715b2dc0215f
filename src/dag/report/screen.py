"""The place of the progress of builds: lines, and on a terminal a table of each below them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TextIO

from dag.core.visible import visible_entry
from dag.report.table import LiveTable, TableStack
from dag.report.terminal import Paint, current_manner, shows_tables, silence, tell

if TYPE_CHECKING:
    from rich.live import Live

_UP, _CLEAR = "\x1b[A", "\x1b[2K"
"""What makes a terminal go up one row, and clear one."""
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
            from rich.console import Console
            from rich.live import Live

            plain = not current_manner().paints(self._stream)
            console = Console(file=self._stream, highlight=False, no_color=plain)
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
        if self._live is None:
            tell(text, self._stream, paint=paint)
        else:
            style = _STYLES[paint] if paint else None
            shown = visible_entry(text)
            self._draw(partial(self._live.console.out, shown, style=style, highlight=False))

    def _draw(self, draw: Callable[[], object]) -> None:
        try:
            self._clear_wrapped()
            draw()
        except OSError:  # the terminal is gone; the builds are not
            self._live = None
            self._shows_tables = False
            silence(self._stream)

    def _clear_wrapped(self) -> None:
        """Clear the rows that the tables have got because the terminal has become narrower.

        rich clears as many rows as it has drawn lines.
        """
        if self._live and (rows := self._tables.wrapped(self._live.console.width)):
            self._stream.write(f"{_CLEAR}{f'{_UP}{_CLEAR}' * rows}")
