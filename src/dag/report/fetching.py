"""Shows how far the sources are: a bar that names the slow ones, or plain lines when piped."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TextIO

from dag.core.visible import visible_entry
from dag.report.terminal import console_of, current_manner, shows_tables, tell
from dag.report.words import count

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_SLOW = 2.0
"""Seconds after which an item is named."""
_NAMED = 5
"""How many items are named at most."""
_LINE_EVERY = 5.0
"""Seconds between two lines where nobody sees a bar."""
_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(slots=True)
class _Item:
    """A source that is under way, and how many of its bytes are here."""

    label: str
    since: float
    done: int = 0
    total: int | None = None


class FetchProgress:
    """A `dag.core.sources.downloads.Watcher` that tells of transfers on stderr."""

    def __init__(self, *, stream: TextIO | None = None) -> None:
        """Write to `stream`, or else to stderr; with `-q` there are only notes."""
        self._stream = stream or sys.stderr
        self._manner = current_manner()
        self._items: dict[str, _Item] = {}
        self._ended = self._failed = self._expected = self._finished_bytes = 0
        self._began = self._told = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if shows_tables(self._stream) and not self._manner.quiet:
            from rich.live import Live

            self._live = Live(
                get_renderable=self._render,
                console=console_of(self._stream),
                transient=True,
                refresh_per_second=4,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def begin(self, key: str, label: str) -> None:
        """Count one more item, which is under way."""
        self._expected += 1
        self._items[key] = _Item(label, time.monotonic())

    def advance(self, key: str, done: int, total: int | None) -> None:
        """Note how much of an item is here."""
        item = self._items[key]
        item.done, item.total = done, total

    def end(self, key: str, *, ok: bool) -> None:
        """Count an item as done or failed."""
        item = self._items.pop(key)
        self._finished_bytes += item.done
        self._ended += 1
        self._failed += not ok
        self.tick()

    def note(self, text: str) -> None:
        """Write a line at once."""
        if self._live is not None:
            self._live.console.out(visible_entry(f"dag: {text}"), highlight=False)
        else:
            tell(f"dag: {text}", self._stream)

    def tick(self) -> None:
        """Write a line that tells how far it is, unless a bar shows it or the last line is fresh."""
        now = time.monotonic()
        if self._live is not None or self._manner.quiet or now - self._told < _LINE_EVERY:
            return
        self._told = now
        slow = "; ".join(self._slow_items(now)[:2])
        self.note(f"{self._summary(now)}{f'; waiting for {slow}' if slow else ''}")

    def _summary(self, now: float) -> str:
        held = self._finished_bytes + sum(item.done for item in self._items.values())
        speed = held / max(now - self._began, 0.001)
        failed = f", {self._failed} failed" if self._failed else ""
        of = f"{self._ended} of {count(self._expected, 'source')}"
        return f"{of}{failed}, {size(held)}, {size(speed)}/s"

    def _slow_items(self, now: float) -> list[str]:
        slow = sorted(self._items.values(), key=lambda item: item.since)[:_NAMED]
        return [
            f"{item.label} ({now - item.since:.0f} s, {_progress_of(item)})"
            for item in slow
            if now - item.since >= _SLOW
        ]

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        now = time.monotonic()
        # Half an item's worth for what is under way would be a guess: bytes of unknown totals.
        bar = ProgressBar(total=max(1, self._expected), completed=self._ended, width=30)
        rows = [
            Text(visible_entry(f"  {text}"), overflow="ellipsis", no_wrap=True)
            for text in self._slow_items(now)
        ]
        return Group(*rows, Text(self._summary(now)), bar)


def _progress_of(item: _Item) -> str:
    return size(item.done) if item.total is None else f"{size(item.done)} of {size(item.total)}"


def size(number: float) -> str:
    """Return a number of bytes as people say it: `1.2 GB`."""
    for unit in _UNITS:
        if number < 1000 or unit == _UNITS[-1]:
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
