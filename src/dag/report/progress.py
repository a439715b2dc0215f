"""Progress of a build: a table that stays in its place on a terminal, else plain lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dag.core.arch import DEFAULT_ARCH
from dag.core.build.events import Action, Await, Event, Proven, Retry, Settled, Start, StopRequested
from dag.core.build.result import Result, UnitResult
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import THERE, Progress, UnitState
from dag.core.build.summary import PlanSummary
from dag.core.build.twice import is_second, package_of
from dag.report.files import headline
from dag.report.screen import Screen
from dag.report.table import LiveTable, numbers
from dag.report.terminal import Paint
from dag.report.words import (
    blocked_lines,
    by_reason,
    count,
    dubious_words,
    impossible_words,
    seconds,
    some,
    stuck_lines,
    stuck_words,
)

_REDRAW = 0.25
"""How many seconds pass between two drawings of the table."""
_EVERY = 60.0
"""How many seconds pass between two lines about what runs, where there is no table."""
_SHOWN = 16
"""How many running units such a line names."""
_LAST = 3
"""How many lines of what failed are told again at the end; more of them would hide each other."""


class BuildProgress:
    """An observer of one run that tells on stderr what happens to its units."""

    def __init__(
        self,
        scheduler: Scheduler,
        about: PlanSummary,
        *,
        verbosity: int = 0,
        logs: Callable[[str], str] | None = None,
        screen: Screen | None = None,
    ) -> None:
        """Watch `scheduler`, whose plan `about` sums up; `logs` says where the log of a unit is.

        The screen is that of stderr if none is given.
        """
        self._logs = logs
        self._scheduler = scheduler
        self._packages = about.packages
        self._timed = about.timed > 0
        self._verbosity = verbosity
        self._screen = screen or Screen()
        self._label = f"{about.arch}: " if self._screen.is_shared else ""
        self._table = LiveTable(scheduler, self._name, timed=self._timed, label=self._label)
        self._drawn = self._now = self._told = 0.0
        self._screen.show(self._table)

    def observe(self, event: Event, actions: Sequence[Action], now: float) -> None:
        """Tell what changed."""
        self._now = self._table.now = now
        if isinstance(event, StopRequested) and (live := len(self._scheduler.live)):
            self._say(f"{event.cause}; {count(live, 'running build')} will be ended")
        for action in actions:
            match action:
                case Start(key, attempt):
                    if not self._screen.has_tables:
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
        if self._screen.has_tables:
            if now - self._drawn >= _REDRAW:
                self._drawn = self._table.now = now
                self._screen.refresh()
        elif now - self._told >= _EVERY:
            self._told = now
            self._tell_running()

    def close(self) -> None:
        """Remove the table."""
        self._screen.remove(self._table)

    def _tell_settled(self, progress: Progress, event: Event) -> None:
        key = progress.unit.key
        match progress.state:
            case UnitState.DONE if isinstance(event, Proven):
                took = (progress.ended or 0.0) - (progress.started or 0.0)
                built = f"built {self._name(key)} in {seconds(took)}  [{self._done()}]"
                self._say(built, Paint.SUCCESS)
                if progress.results > 1:
                    self._say(
                        f"{package_of(key)} is not reproducible: what went into it gave "
                        f"{progress.results} different results"
                    )
                    for line in progress.differences:
                        self._screen.write(f"    {line}")
            case UnitState.UNCHANGED:
                self._say(f"unchanged {self._name(key)}  [{self._done()}]")
            case UnitState.FAILED:
                log = f"; {self._logs(package_of(key))}" if self._logs else ""
                failed = f"dag: {self._label}FAILED {self._name(key)}: {progress.cause}{log}"
                self._screen.write(failed, Paint.FAILURE)
                for line in progress.lines:
                    self._screen.write(f"    {line}")
            case UnitState.BLOCKED if self._verbosity and not is_second(key):
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
        return f"{done}/{self._scheduler.counts.total()}"

    def _name(self, key: str) -> str:
        name = package_of(key)
        return f"{name} {self._packages[name].version}{' again' if is_second(key) else ''}"

    def _say(self, text: str, paint: Paint | None = None) -> None:
        self._screen.say(f"dag: {self._label}{text}", paint)


def _later(pause: float) -> str:
    return f"in {seconds(pause)}" if pause > 0 else "at once"


def log_words(store: str, name: str, log: str, *, arch: str = DEFAULT_ARCH) -> str:
    """Return where the log of a unit is, whose path below the store is `log`."""
    if "://" in store:
        chosen = "" if arch == DEFAULT_ARCH else f" --arch {arch}"
        return f"`dag logs --store {store}{chosen} {name}` prints its log"
    return f"its log is {store}/{log}"


def result_lines(
    result: Result, *, store: str, verbosity: int = 0, was_followed: bool = False
) -> Iterator[str]:
    """Yield a result as lines for people; a line that belongs to the one before is indented.

    A failure was told to whoever followed the build, and the plan told what cannot be built. It is
    told again, at the end of hours that is where people look, unless it was the last thing that
    happened.
    """
    failed = result.with_state(UnitState.FAILED)
    if not was_followed or len(failed) > 1 or any(_ended_after(unit, result) for unit in failed):
        for unit in failed:
            log = log_words(store, unit.name, unit.log, arch=result.arch)
            yield f"FAILED {unit.name} {unit.version}: {unit.cause}; {log}"
            yield from (f"    {line}" for line in unit.lines[-_LAST:])
    for unit in result.dubious:
        yield f"{unit.name} {unit.version} is {dubious_words(unit)}"
    blockers = {one.name: one.blocked_by or "" for one in result.with_state(UnitState.BLOCKED)}
    for cause, blocked in by_reason(blockers).items():
        yield f"{count(len(blocked), 'package')} blocked by {cause}: {_some(blocked, verbosity)}"
    yield from (impossible_words(one, result.arch) for one in result.impossible)
    is_told = was_followed and not result.units  # by the plan, which was the last thing then
    for cycle in () if is_told else result.stuck:
        yield f"{stuck_words(cycle)}:"
        yield from stuck_lines(cycle, "    ")
    if result.blocked:
        names = sorted(result.blocked)
        yield f"{count(len(names), 'package')} blocked by cycles: {_some(names, verbosity)}"
    yield from blocked_lines({} if is_told else result.unbuildable)
    for why, names in by_reason(result.open).items():
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
