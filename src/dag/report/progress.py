"""Progress of a build: a table that stays in its place on a terminal, else plain lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO

from dag.core.build.events import Action, Await, Event, Proven, Retry, Settled, Start, StopRequested
from dag.core.build.result import Result
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import THERE, Progress, UnitState
from dag.core.build.summary import PlanSummary
from dag.core.visible import visible_entry
from dag.report.files import headline
from dag.report.terminal import silence, tell
from dag.report.words import blocked_lines, count, seconds, some, stuck_lines

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_REDRAW = 0.25
"""How many seconds pass between two drawings of the table."""
_EVERY = 60.0
"""How many seconds pass between two lines about what runs, where there is no table."""
_SHOWN = 16
"""How many running units the table shows."""


class BuildProgress:
    """An observer of one run that tells on stderr what happens to its units."""

    def __init__(
        self,
        scheduler: Scheduler,
        about: PlanSummary,
        *,
        store: str,
        verbosity: int = 0,
        stream: TextIO | None = None,
    ) -> None:
        """Watch `scheduler`, whose plan `about` sums up; `store` is its place in the user's words."""
        self._scheduler = scheduler
        self._packages = about.packages
        self._timed = about.timed > 0
        self._logs = f"{store}/logs/{about.arch}"
        self._verbosity = verbosity
        self._stream = stream or sys.stderr
        self._live: Live | None = None
        self._drawn = self._now = self._told = 0.0
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._stream, highlight=False)
            self._live = Live(self, console=console, auto_refresh=False, transient=True)
            self._live.start()

    def observe(self, event: Event, actions: Sequence[Action], now: float) -> None:
        """Tell what changed."""
        self._now = now
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
                self._drawn = now
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
                self._say(f"built {self._name(key)} in {seconds(took)}  [{self._done()}]")
                if progress.results > 1:
                    self._say(
                        f"{key} is not reproducible: what went into it gave "
                        f"{progress.results} different results"
                    )
            case UnitState.UNCHANGED:
                self._say(f"unchanged {self._name(key)}  [{self._done()}]")
            case UnitState.FAILED:
                self._say(f"FAILED {self._name(key)}: {progress.cause}")
                for line in progress.lines:
                    self._write(f"    {line}")
                self._say(f"the whole log is {self._logs}/{key}.log")
            case UnitState.BLOCKED if self._verbosity:
                self._say(f"{key} is blocked by {progress.blocked_by}")
            case _:
                pass

    def _tell_running(self) -> None:
        live = [self._scheduler.units[key] for key in self._scheduler.live]
        if live:
            live.sort(key=lambda progress: progress.started or 0.0)
            told = [f"{p.unit.key} for {seconds(self._now - (p.started or 0.0))}" for p in live]
            self._say(f"running: {some(told, _SHOWN)}  [{self._done()}]")

    def _done(self) -> str:
        done = sum(self._scheduler.counts[state] for state in THERE)
        return f"{done}/{len(self._packages)}"

    def _name(self, key: str) -> str:
        return f"{key} {self._packages[key].version}"

    def _say(self, text: str) -> None:
        self._write(f"dag: {text}")

    def _write(self, text: str) -> None:
        if self._live is not None:
            self._draw(partial(self._live.console.out, visible_entry(text), highlight=False))
        else:
            tell(text, self._stream)

    def _draw(self, draw: Callable[[], object]) -> None:
        try:
            draw()
        except OSError:  # the terminal is gone; the build is not
            self._live = None
            silence(self._stream)

    def __rich__(self) -> RenderableType:
        """Return the table; it is drawn anew below each line, so it must not know less than that."""
        from rich.console import Group
        from rich.text import Text

        scheduler, now = self._scheduler, self._now
        live = [scheduler.units[key] for key in scheduler.live]
        numbers = Text(f"{self._done()} done")
        if live:
            numbers.append(f", {len(live)} running")
        for state in (
            UnitState.READY,
            UnitState.WAITING,
            UnitState.PAUSED,
            UnitState.LACKING,
            UnitState.BLOCKED,
            UnitState.FAILED,
        ):
            if number := scheduler.counts[state]:
                numbers.append(
                    f", {number} {state.value}", "red" if state is UnitState.FAILED else ""
                )
        numbers.append(f"; {seconds(now)}")
        if self._timed or scheduler.counts[UnitState.DONE]:
            numbers.append(f", about {seconds(scheduler.remaining(now))} left")
        lines = [
            Text(f"  {seconds(now - (p.started or 0.0)):>7}  {self._name(p.unit.key)}", "cyan")
            for p in live[:_SHOWN]
        ]
        if len(live) > _SHOWN:
            lines.append(Text(f"           and {len(live) - _SHOWN} more"))
        return Group(*lines, numbers)


def _later(pause: float) -> str:
    return f"in {seconds(pause)}" if pause > 0 else "at once"


def result_lines(result: Result, *, store: str, verbosity: int = 0) -> Iterator[str]:
    """Yield a result as lines for people; a line that belongs to the one before is indented."""
    for unit in result.with_state(UnitState.FAILED):
        yield f"FAILED {unit.name} {unit.version}: {unit.cause}; its log is {store}/{unit.log}"
    by_failure: dict[str, list[str]] = {}
    for unit in result.with_state(UnitState.BLOCKED):
        by_failure.setdefault(unit.blocked_by or "", []).append(unit.name)
    for failed, blocked in by_failure.items():
        yield f"{count(len(blocked), 'package')} blocked by {failed}: {_some(blocked, verbosity)}"
    for one in result.impossible:
        yield f"{one.name} {one.version} was asked for but is not built for {result.arch}"
    for cycle in result.stuck:
        yield f"a cycle of {count(len(cycle.packages), 'package')} cannot be built:"
        yield from stuck_lines(cycle, "    ")
        yield f"    a repository (-r) with {', '.join(cycle.bootstrap)} would open it"
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


def _some(names: Sequence[str], verbosity: int) -> str:
    if verbosity or len(names) <= 10:
        return ", ".join(names)
    return f"{some(names, 10)} (-v names all)"
