"""The runs of a store: how each one stands or ended, and what its units wrote."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dag.core.arch import Arch
from dag.core.build import journal as lines
from dag.core.build.result import Result, make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import SETTLED, UnitState
from dag.core.build.summary import PlanSummary
from dag.core.limits import LOG_LINE
from dag.core.lines import LineSplitter
from dag.errors import UsageError
from dag.io.build.journal import Journal, read_journal
from dag.io.store.local import Store
from dag.io.store.lock import holder
from dag.io.store.runs import Run

_LOOK = 0.25
"""Seconds between two looks at a log that grows."""
_ASK = 2.0
"""Seconds between two questions whether its unit is still built: the whole journal is read for each."""
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run of a store."""

    id: str
    began: float
    """In seconds since 1970."""
    result: Result
    """The result as far as the run has come."""
    is_alive: bool


@contextmanager
def begin_journal(run: Run, about: PlanSummary, scheduler: Scheduler) -> Iterator[Journal]:
    """Begin the journal of a run of this process."""
    head = lines.make_head(about, scheduler, began=time.time(), pid=os.getpid(), run=run.id)
    with Journal(run.journal) as journal:
        journal.append(lines.encode_head(head))
        yield journal


def keep_result(run: Run, result: Result) -> Result:
    """Write the result of a run that has ended, and return it."""
    run.keep_result(msgspec.json.encode(result.to_json()))
    return result


def read_status(root: Path, arch: Arch, words: str = "") -> RunStatus:
    """Read how a run stands, or how it ended: the latest one, or the one whose id begins so.

    Raises:
        UsageError: there was no such run, or its journal cannot be read.

    """
    store = Store(root, arch)
    return _status(store, _find(store, words))


def read_before(root: Path, arch: Arch, run: str) -> Result | None:
    """Return the result of the run before the one with this id; None if there is none to be read."""
    store = Store(root, arch)
    for one in store.runs.all():
        if one.id < run:
            with suppress(UsageError):
                return _status(store, one).result
    return None


def read_all(root: Path, arch: Arch) -> Iterator[RunStatus | UsageError]:
    """Yield how each run stands or ended, the latest first; an error for one that is damaged.

    Raises:
        UsageError: there was none.

    """
    store = Store(root, arch)
    for run in (_find(store, ""), *list(store.runs.all())[1:]):
        try:
            yield _status(store, run)
        except UsageError as error:
            yield error


def read_log(
    root: Path, arch: Arch, unit: str, words: str = "", *, follow: bool = False
) -> Iterator[bytes]:
    """Yield the lines of a unit's log: the latest one, or that of the run whose id begins so.

    With `follow` this goes on until the unit is settled or its run has ended.

    Raises:
        UsageError: there is no such run, or it has no such log.

    """
    store = Store(root, arch)
    run = _find(store, words)
    growth = _Growth(store, run, unit) if follow else None
    log: Path | None = run.log(unit)
    where = f"the run {run.id}" if words else f"the store {root}"
    if not words and not (growth and growth.goes_on()):
        log = store.runs.latest_log(unit)
    if log is None or not (log.is_file() or (growth and growth.goes_on())):
        raise UsageError(
            f"{where} has no log of {unit} for {arch}",
            hint="`dag status --json` names the packages of the latest run",
        )
    return _lines(log, growth)


class _Growth:
    """Whether a log may get more lines, which is asked often."""

    def __init__(self, store: Store, run: Run, unit: str) -> None:
        self._store = store
        self._run = run
        self._unit = unit
        self._asked = -_ASK

    def goes_on(self) -> bool:
        if time.monotonic() - self._asked < _ASK:
            return True
        status = _status(self._store, self._run)
        states = {one.name: UnitState(one.state) for one in status.result.units}
        if not status.is_alive or states.get(self._unit, UnitState.DONE) in SETTLED:
            return False
        self._asked = time.monotonic()
        return True


def _lines(log: Path, growth: _Growth | None) -> Iterator[bytes]:
    splitter = LineSplitter(LOG_LINE)
    position, goes_on = 0, True
    while goes_on:
        # Asked first, so that what was written before the end is read.
        goes_on = growth is not None and growth.goes_on()
        with suppress(FileNotFoundError), log.open("rb") as file:
            file.seek(position)
            while data := file.read(_PIECE):
                yield from splitter.feed(data)
            position = file.tell()
        if goes_on:
            time.sleep(_LOOK)
    if rest := splitter.rest():
        yield rest


def _find(store: Store, words: str) -> Run:
    runs = store.runs.all()
    if not words:
        if (latest := next(runs, None)) is not None:
            return latest
        raise UsageError(
            f"{store.root}: nothing was built here for {store.arch}",
            hint="--store names another store",
        )
    found = [run for run in runs if run.id.startswith(words)]
    if len(found) == 1:
        return found[0]
    how_many = f"{len(found)} runs begin with {words}" if found else f"there was no run {words}"
    raise UsageError(
        f"{store.root}: {how_many} for {store.arch}", hint="`dag status --all` lists the runs"
    )


def _status(store: Store, run: Run) -> RunStatus:
    try:
        found = lines.replay_run(read_journal(run.journal))
    except ValueError as error:
        raise UsageError(
            f"{run.journal} is damaged: {error}", hint="the next `dag build` writes another one"
        ) from error
    # The journal of a run that died tells nothing of the time after its last event.
    is_alive = not found.scheduler.finished and holder(store.lock_path) == found.head.pid
    now = max(found.last, time.time() - found.head.began) if is_alive else found.last
    result = make_result(found.head, found.scheduler, now, found.head.run)
    return RunStatus(run.id, found.head.began, result, is_alive)
