"""The table of a build on a terminal: its numbers, and as many running units as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dag.core.build.scheduler import Scheduler
from dag.core.build.states import THERE, Progress, UnitState
from dag.core.visible import visible_line
from dag.report.words import seconds

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

StyledWords = tuple[str, str]
"""Words, and the style that they have."""

_MOST_ROWS = 16
"""How many rows of running units there are at most, however high the terminal is."""
_COLUMN = 44
"""From how many columns for each on, running units stand beside each other."""
_ECHO = 4
"""The columns that stay free at the end of the last line, where a terminal writes ^C, also twice.

If that began another line, the table would be one line higher than is known, and a line would stay.
"""
_BAD = (UnitState.FAILED, UnitState.BLOCKED, UnitState.DROPPED)
_OTHERS = (UnitState.READY, UnitState.WAITING, UnitState.PAUSED, UnitState.LACKING)


def numbers(scheduler: Scheduler, now: float, *, timed: bool) -> Iterator[StyledWords]:
    """Yield how many units are in which state, the slots in use, and the time that is left.

    What matters most comes first, because a small terminal does not show the end. `timed` says
    whether anything is known of how long units take.
    """
    counts = scheduler.counts
    done = sum(counts[state] for state in THERE)
    yield f"{done:,} of {sum(counts.values()):,} done", "bold"
    yield f"{len(scheduler.live):,} of {scheduler.limits.jobs:,} slots in use", "cyan"
    for state in _BAD:
        if number := counts[state]:
            yield f"{number:,} {state.value}", "red" if state is UnitState.FAILED else ""
    if (timed or counts[UnitState.DONE]) and (left := scheduler.remaining(now)):
        yield f"about {seconds(left)} left", "bold"
    for state in _OTHERS:
        if number := counts[state]:
            yield f"{number:,} {state.value}", ""


class LiveTable:
    """A table that takes half of the terminal, so that there is room for what is told.

    The numbers come first where room is short, then those units that have run for longest.
    """

    def __init__(
        self, scheduler: Scheduler, name: Callable[[str], str], *, timed: bool, label: str = ""
    ) -> None:
        """Show what `scheduler` knows; `name` says how a unit is called, `label` whose numbers they are."""
        self._scheduler = scheduler
        self._name = name
        self._timed = timed
        self._label = label
        self.now = 0.0

    def lines(self, width: int, height: int) -> Iterator[Text]:
        """Yield the lines for a terminal of so many columns and rows.

        They are drawn again after each line that is told, so they must already include what it tells.
        """
        told = [*numbers(self._scheduler, self.now, timed=self._timed)]
        told.append((f"{seconds(self.now)} so far", ""))
        told[0] = (f"{self._label}{told[0][0]}", told[0][1])
        last = list(_wrapped(told, max(8, width - _ECHO)))[: max(1, height - 1)]
        room = min(height - 1, max(height // 2, len(last) + 1)) - len(last)
        yield from self._rows(width, min(_MOST_ROWS, room))
        yield from last

    def _rows(self, width: int, most: int) -> Iterator[Text]:
        """Yield at most `most` lines about running units, each as wide as the terminal at most."""
        from rich.text import Text

        live = [self._scheduler.units[key] for key in self._scheduler.live]
        columns = max(1, width // _COLUMN)
        counts_others = -(-len(live) // columns) > most > 1
        shown = live[: max(0, most - counts_others) * columns]
        height = -(-len(shown) // columns)
        for number in range(height):
            row = (self._cell(one, width // columns - 1) for one in shown[number::height])
            yield Text(" ".join(row).rstrip(), "cyan", no_wrap=True, overflow="crop")
        if counts_others:
            more = f"{'':9}and {len(live) - len(shown):,} more"
            yield Text(more, no_wrap=True, overflow="crop")

    def _cell(self, progress: Progress, width: int) -> str:
        from rich.cells import set_cell_size

        took = seconds(self.now - (progress.started or 0.0))
        name = shortened(visible_line(self._name(progress.unit.key)), max(3, width - 9))
        return set_cell_size(f"{took:>7}  {name}", width)


class TableStack:
    """A renderable of rich: tables one below the other, which share the terminal evenly."""

    def __init__(self) -> None:
        self._tables: list[LiveTable] = []
        self.height = 0
        """How many lines the tables had when they were drawn for the last time."""

    def __len__(self) -> int:
        """Return how many tables there are."""
        return len(self._tables)

    def add(self, table: LiveTable) -> None:
        """Show a table below the others."""
        self._tables.append(table)

    def remove(self, table: LiveTable) -> None:
        """Show a table no more, if it is shown."""
        if table in self._tables:
            self._tables.remove(table)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines of all tables."""
        width, height = options.size
        self.height = 0
        for table in self._tables:
            for line in table.lines(width, height // len(self._tables)):
                self.height += 1
                yield line


def shortened(text: str, width: int) -> str:
    """Return a text in so many columns, or more briefly; what is too long is cut in its middle."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    begin = set_cell_size(text, width // 2).rstrip()
    end = ""
    for character in reversed(text):
        if cell_len(begin) + 1 + cell_len(character + end) > width:
            break
        end = character + end
    return f"{begin}…{end}"


def _wrapped(parts: list[StyledWords], width: int) -> Iterator[Text]:
    """Yield lines that end between two parts, not within one."""
    from rich.text import Text

    line = Text(no_wrap=True, overflow="crop")
    for number, (words, style) in enumerate(parts):
        end = "," if number < len(parts) - 1 else ""
        if line and line.cell_len + 1 + len(words) + len(end) > width:
            yield line
            line = Text(no_wrap=True, overflow="crop")
        line.append(" " if line else "").append(words, style).append(end)
    yield line
