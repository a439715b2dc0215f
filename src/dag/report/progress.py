"""Progress of a build: a table that stays in its place on a terminal, else plain lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO

from dag.core.build.events import Action, Await, Event, Proven, Retry, Settled, Start, StopRequested
from dag.core.build.result import Result, UnitResult
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import THERE, Progress, UnitState
from dag.core.build.summary import PlanSummary
from dag.core.visible import visible_entry
from dag.report.files import headline
from dag.report.table import LiveTable, numbers
from dag.report.terminal import Paint, current_manner, shows_tables, silence, tell
from dag.report.words import blocked_lines, count, impossible_words, seconds, some, stuck_lines

if TYPE_CHECKING:
    from rich.live import Live

_REDRAW = 0.25
"""How many seconds pass between two drawings of the table."""
_EVERY = 60.0
"""How many seconds pass between two lines about what runs, where there is no table."""
_SHOWN = 16
"""How many running units such a line names."""

_STYLES = {Paint.FAILURE: "red", Paint.SUCCESS: "green"}


class BuildProgress:
    """An observer of one run that tells on stderr what happens to its units."""

    def __init__(
        self,
        scheduler: Scheduler,
        about: PlanSummary,
        *,
        verbosity: int = 0,
        logs: Callable[[str], str] | None = None,
        stream: TextIO | None = None,
    ) -> None:
        """Watch `scheduler`, whose plan `about` sums up; `logs` says where the log of a unit is."""
        self._logs = logs
        self._scheduler = scheduler
        self._packages = about.packages
        self._timed = about.timed > 0
        self._verbosity = verbosity
        self._stream = stream or sys.stderr
        self._live: Live | None = None
        self._table = LiveTable(scheduler, self._name, timed=self._timed)
        self._drawn = self._now = self._told = 0.0
        manner = current_manner()
        self._quiet = manner.quiet
        if shows_tables(self._stream) and not manner.quiet:
            from rich.console import Console
            from rich.live import Live

            plain = not manner.paints(self._stream)
            console = Console(file=self._stream, highlight=False, no_color=plain)
            self._live = Live(self._table, console=console, auto_refresh=False, transient=True)
            self._live.start()

    def observe(self, event: Event, actions: Sequence[Action], now: float) -> None:
        """Tell what changed."""
        self._now = self._table.now = now
        if isinstance(event, StopRequested) and (live := len(self._scheduler.live)):
            self._say(f"{event.cause}; {count(live, 'running build')} will be ended")
        for action in actions:
            match action:
                case Start(key, attempt):
                    if self._live is None:
                        again = f" (attempt {attempt})" if attempt > 1 else ""
                        self._say(f"building {self._name(key)}{again}")
                case Retry(key, _, cause, when):
                    self._say(f"{key}: {cause}; it is tried again {_later(when - now)}")
                case Await(key, _, cause):
                    self._say(f"{key} waits: {cause} yet")
                case Settled(key):
                    self._tell_settled(self._scheduler.units[key], event)
                case _:
                    pass

    def look_at_clock(self, now: float) -> None:
        """Draw the table anew if it is old; without one, tell every minute what runs."""
        self._now = now
        if self._live is not None:
            if now - self._drawn >= _REDRAW:
                self._drawn = self._table.now = now
                self._draw(self._live.refresh)
        elif now - self._told >= _EVERY:
            self._told = now
            self._tell_running()

    def close(self) -> None:
        """Remove the table."""
        if self._live is not None:
            self._draw(self._live.stop)
            self._live = None

    def _tell_settled(self, progress: Progress, event: Event) -> None:
        key = progress.unit.key
        match progress.state:
            case UnitState.DONE if isinstance(event, Proven):
                took = (progress.ended or 0.0) - (progress.started or 0.0)
                built = f"built {self._name(key)} in {seconds(took)}  [{self._done()}]"
                self._say(built, Paint.SUCCESS)
                if progress.results > 1:
                    self._say(
                        f"{key} is not reproducible: what went into it gave "
                        f"{progress.results} different results"
                    )
            case UnitState.UNCHANGED:
                self._say(f"unchanged {self._name(key)}  [{self._done()}]")
            case UnitState.FAILED:
                log = f"; {self._logs(key)}" if self._logs else ""
                failed = f"dag: FAILED {self._name(key)}: {progress.cause}{log}"
                self._write(failed, Paint.FAILURE)
                for line in progress.lines:
                    self._write(f"    {line}")
            case UnitState.BLOCKED if self._verbosity:
                self._say(f"{key} is blocked by {progress.blocked_by}")
            case _:
                pass

    def _tell_running(self) -> None:
        live = [self._scheduler.units[key] for key in self._scheduler.live]
        if live:
            told = [f"{p.unit.key} for {seconds(self._now - (p.started or 0.0))}" for p in live]
            counted = numbers(self._scheduler, self._now, timed=self._timed)
            self._say(
                f"running: {some(told, _SHOWN)}  [{', '.join(words for words, _ in counted)}]"
            )

    def _done(self) -> str:
        done = sum(self._scheduler.counts[state] for state in THERE)
        return f"{done}/{len(self._packages)}"

    def _name(self, key: str) -> str:
        return f"{key} {self._packages[key].version}"

    def _say(self, text: str, paint: Paint | None = None) -> None:
        if not self._quiet:
            self._write(f"dag: {text}", paint)

    def _write(self, text: str, paint: Paint | None = None) -> None:
        """Write a line, above the table if there is one."""
        if self._live is None:
            tell(text, self._stream, paint=paint)
        else:
            style = _STYLES[paint] if paint else None
            shown = visible_entry(text)
            self._draw(partial(self._live.console.out, shown, style=style, highlight=False))

    def _draw(self, draw: Callable[[], object]) -> None:
        try:
            draw()
        except OSError:  # the terminal is gone; the build is not
            self._live = None
            silence(self._stream)


def _later(pause: float) -> str:
    return f"in {seconds(pause)}" if pause > 0 else "at once"


def log_words(store: str, name: str, log: str) -> str:
    """Return where the log of a unit is, whose path below the store is `log`."""
    if "://" in store:
        return f"`dag logs --store {store} {name}` prints its log"
    return f"its log is {store}/{log}"


def result_lines(
    result: Result, *, store: str, verbosity: int = 0, was_followed: bool = False
) -> Iterator[str]:
    """Yield a result as lines for people; a line that belongs to the one before is indented.

    A failure was told to whoever followed the build. It is told again, at the end of hours that is
    where people look, unless it was the last thing that happened.
    """
    failed = result.with_state(UnitState.FAILED)
    if not was_followed or len(failed) > 1 or any(_ended_after(unit, result) for unit in failed):
        for unit in failed:
            log = log_words(store, unit.name, unit.log)
            yield f"FAILED {unit.name} {unit.version}: {unit.cause}; {log}"
    by_failure: dict[str, list[str]] = {}
    for unit in result.with_state(UnitState.BLOCKED):
        by_failure.setdefault(unit.blocked_by or "", []).append(unit.name)
    for cause, blocked in by_failure.items():
        yield f"{count(len(blocked), 'package')} blocked by {cause}: {_some(blocked, verbosity)}"
    yield from (impossible_words(one, result.arch) for one in result.impossible)
    for cycle in result.stuck:
        yield f"a cycle of {count(len(cycle.packages), 'package')} cannot be built:"
        yield from stuck_lines(cycle, "    ")
    if result.blocked:
        names = sorted(result.blocked)
        yield f"{count(len(names), 'package')} blocked by cycles: {_some(names, verbosity)}"
    yield from blocked_lines(result.unbuildable)
    for why in dict.fromkeys(result.open.values()):
        names = [name for name, reason in result.open.items() if reason == why]
        number = count(len(names), "package")
        yield f"{number} open, melange chose from repositories itself: {_some(names, verbosity)}; {why}"
    if verbosity and result.critical_path:
        times = {unit.name: unit.seconds for unit in result.units}
        path = " → ".join(f"{name} {seconds(times.get(name))}" for name in result.critical_path)
        yield f"critical path: {path}"
    yield headline(result)


def _ended_after(failed: UnitResult, result: Result) -> bool:
    """Return whether another unit ended after one that failed."""
    return any((unit.ended or 0.0) > (failed.ended or 0.0) for unit in result.units)


def _some(names: Sequence[str], verbosity: int) -> str:
    if verbosity or len(names) <= 10:
        return ", ".join(names)
    return f"{some(names, 10)} (-v names all)"
