"""The runs of a store: how each one stands or ended, and what its units wrote."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from types import MappingProxyType

import msgspec
from msgspec import Struct

from dag.core.build.journal import encode_head, make_head, replay_run, results_of
from dag.core.build.result import Result, make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import SETTLED, UnitState
from dag.core.build.summary import PlanSummary
from dag.core.limits import LOG_LINE
from dag.core.lines import LineSplitter
from dag.core.say import Say
from dag.core.store.layout import RECORDS
from dag.core.store.records import Record
from dag.errors import UsageError
from dag.io.build.journal import Journal, read_journal
from dag.io.store.local import Store
from dag.io.store.lock import holder
from dag.io.store.objects import StoreError
from dag.io.store.runs import Run

_LOOK = 0.25
"""Seconds between two looks at a log that grows."""
_ASK = 2.0
"""Seconds between two questions whether its unit is still built: the whole journal is read for each."""
_PIECE = 1 << 20
_BRING = 30.0
"""Seconds between two times that a journal is brought into a bucket."""


class NoSuchRun(UsageError):
    """Nothing was built here yet, or there is not just one run whose id begins as was asked."""


class RunStatus(Struct, frozen=True):
    """A run of a store."""

    id: str
    began: float
    """In seconds since 1970."""
    result: Result
    """The result as far as the run has come."""
    is_alive: bool


@contextmanager
def begin_journal(
    run: Run,
    about: PlanSummary,
    scheduler: Scheduler,
    results: Mapping[str, str] = MappingProxyType({}),
    found: Iterable[str] = (),
) -> Iterator[Journal]:
    """Begin the journal of a run of this process.

    `results` are those that `read_results` returned, and `found` the units of these that belong to the
    run without being built in it.
    """
    head = make_head(
        about,
        scheduler,
        began=time.time(),
        pid=os.getpid(),
        run=run.known.run,
        results=results,
        found=found,
    )
    with Journal(run.journal) as journal:
        journal.append(encode_head(head))
        with _brought_again_and_again(run):
            yield journal


@contextmanager
def _brought_again_and_again(run: Run) -> Iterator[None]:
    """Bring the journal into the store all the time, if that is in a bucket."""
    ended = Event()

    def bring() -> None:
        while not ended.wait(_BRING):
            with suppress(StoreError):  # the next time; who builds is told at the end
                run.keep_journal()

    thread = Thread(target=bring, name="journal", daemon=True)
    if run.is_far:
        run.keep_journal()
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if run.is_far:
            thread.join()
            run.keep_journal()


def keep_result(run: Run, result: Result) -> Result:
    """Write the result of a run that has ended, and return it."""
    run.keep_result(msgspec.json.encode(result.to_json()))
    return result


def read_results(store: Store) -> dict[str, str]:
    """Return the results that the latest runs went on with, by unit, as far as they were killed.

    Of several results that a store has of one unit, the next run goes on with the same.
    """
    found: dict[str, str] = {}
    for run in store.runs.unfinished():
        own = run.fixed_results()
        with suppress(OSError, ValueError), run.brought(run.journal, run.names.journal) as path:
            own = {**results_of(read_journal(path)), **own}
        found = {**own, **found}
    return found


def read_status(store: Store, words: str = "") -> RunStatus:
    """Read how a run stands, or how it ended: the latest one, or the one whose id begins so.

    Raises:
        UsageError: there was no such run, or its journal cannot be read.

    """
    return _status(store, _find(store, words))


def read_before(store: Store, run: str) -> Result | None:
    """Return the result of the run before the one with this id; None if there is none to be read."""
    for one in store.runs.all():
        if one.id < run:
            with suppress(UsageError):
                return _status(store, one).result
    return None


def read_log(
    store: Store, unit: str, words: str = "", *, say: Say, follow: bool = False
) -> Iterator[bytes]:
    """Yield the lines of a unit's log: the latest one, or that of the run whose id begins so.

    A run as Jobs that goes on has the logs of units that have ended, and no journal.

    If another package kept the latest run from building it, that is said before an older log. With
    `follow` this goes on until the unit is settled, with its second build, or its run has ended; of a run
    on another machine the lines come then, all at once.

    Raises:
        UsageError: there is no such run, or it has no such log.

    """
    if (early := store.runs.early(words)) is not None and early.has_log(unit):
        return _log_of(early, unit, None)
    run = _find(store, words)
    growth = _Growth(store, run, unit) if follow else None
    where = f"the run {run.id}" if words else f"the store {store.name}"
    goes_on = growth is not None and growth.goes_on()
    blocked = None if goes_on or run.has_log(unit) else _blocked(store, run, unit)
    if not words and not goes_on:
        latest = store.runs.latest_with_log(unit)
        if latest is None and (old := store.runs.old_log(unit)).is_file():
            return _lines(old, growth)
        if blocked and latest:
            say(f"{blocked.message}; this log is of the run {latest.id}")
        run = latest or run
    if not (goes_on or run.has_log(unit)):
        hint = "`dag status --json` names the packages of the latest run"
        if blocked is None and (maker := _maker(store, unit)):
            hint = f"the build of {maker} made it: `dag logs {maker}` prints the log of that"
        raise blocked or UsageError(f"{where} has no log of {unit} for {store.arch}", hint=hint)
    return _log_of(run, unit, growth)


def _maker(store: Store, package: str) -> str:
    """Return the unit whose build made a package of another name; empty if no record tells of one."""
    names = store.objects.names(f"{RECORDS}/{store.arch.apk}")
    for _, found in store.stored.read(names):
        if isinstance(found, Record) and package in {one.apk.name for one in found.built}:
            return found.name if found.name != package else ""
    return ""


def _blocked(store: Store, run: Run, unit: str) -> UsageError | None:
    """Return what to say of a unit that was not built because another one failed."""
    try:
        units = _status(store, run).result.units
    except UsageError:  # a journal that is damaged tells nothing, and the logs are there
        return None
    for one in units:
        if one.name == unit and one.blocked_by:
            return UsageError(
                f"{unit} was not built in the run {run.id}, because it needs {one.blocked_by},"
                " which failed",
                hint=f"`dag logs {one.blocked_by}` prints why",
            )
    return None


def _log_of(run: Run, unit: str, growth: _Growth | None) -> Iterator[bytes]:
    # What is built on another machine comes into a bucket only when an attempt has ended.
    while growth is not None and growth.goes_on() and not run.log(unit).is_file():
        time.sleep(_LOOK)
    with run.brought(run.log(unit), run.names.log(unit)) as path:
        yield from _lines(path, growth)


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
        mine = [one for one in status.result.units if one.name == self._unit]
        states = [one.state for one in mine]
        states += [one.second.state for one in mine if one.second]  # it writes the same log
        if not status.is_alive or all(UnitState(state) in SETTLED for state in states):
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


def _runs(store: Store) -> Iterator[Run]:
    """Yield all runs, the latest first; it is an error if there is none."""
    runs = store.runs.all()
    latest = next(runs, None)
    if latest is None:
        raise NoSuchRun(
            f"{store.name}: nothing was built here for {store.arch}",
            hint="--store names another store",
        )
    yield latest
    yield from runs


def _find(store: Store, words: str) -> Run:
    runs = _runs(store)
    if not words:
        return next(runs)
    found = [run for run in runs if run.id.startswith(words)]
    if len(found) == 1:
        return found[0]
    how_many = f"{len(found)} runs begin with {words}" if found else f"there was no run {words}"
    raise NoSuchRun(
        f"{store.name}: {how_many} for {store.arch}", hint="`dag status --all` lists the runs"
    )


def _status(store: Store, run: Run) -> RunStatus:
    try:
        with run.brought(run.journal, run.names.journal) as path:
            found = replay_run(read_journal(path))
    except ValueError as error:
        raise UsageError(
            f"{run.address} is damaged: {error}", hint="the next `dag build` writes another one"
        ) from error
    # The journal of a run that died tells nothing of the time after its last event.
    is_alive = not found.scheduler.finished and (
        holder(store.lock_path) == found.head.pid or run.says_it_lives()
    )
    now = max(found.last, time.time() - found.head.began) if is_alive else found.last
    result = make_result(found.head, found.scheduler, now, found.head.run)
    return RunStatus(run.id, found.head.began, result, is_alive)
