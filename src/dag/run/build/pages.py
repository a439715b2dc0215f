"""Writes the page about a run: from time to time while it goes on, and once it has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct

from dag.core.build.events import Action, Event
from dag.core.build.result import Result, make_result
from dag.core.build.scheduler import Scheduler
from dag.core.build.states import UnitState
from dag.core.build.summary import PlanSummary
from dag.core.limits import TooLarge
from dag.io import durable
from dag.io.store.local import Store
from dag.io.store.objects import StoreError
from dag.report.page.run import RunPage, run_page
from dag.report.terminal import say
from dag.run.build.runs import read_before, read_status

_PAUSE = 5.0
"""The least number of seconds between two pages of a run."""
_SHARE = 50
"""How many times as long as a page took to make nothing is written: it must not slow the build."""
_LOG_END = 64 << 10
"""How many bytes of the end of a log are in the page."""
_LOGS = 100
"""Of how many failures the logs are in the page."""


def page_of(file: str, arch: str) -> str:
    """Return the file of the page about one of several architectures; `arch` is empty for the only one."""
    path = Path(file)
    return str(path.with_name(f"{path.stem}-{arch}{path.suffix}")) if arch else file


class KeptRun(Struct, frozen=True):
    """Where a run is kept, and what a page about it tells besides its result."""

    store: Store
    run: str
    """The run's id."""
    shown: str
    """The path or URL of the store as the reader knows it."""
    began: float
    """When it began, in seconds since 1970."""
    before: Result | None
    """The result of the run before it."""

    def page(self, result: Result, *, is_alive: bool) -> str:
        """Return the page about the run, as far as it has come with this result."""
        return run_page(
            RunPage(
                result=result,
                began=self.began,
                written=time.time(),
                is_alive=is_alive,
                store=self.shown,
                logs=log_ends(self.store, self.run, result),
                before=self.before,
            )
        )


def report_page(store: Store, words: str = "", *, shown: str) -> str:
    """Return the page about a run of a store, as `dag.run.build.runs.read_status` finds it.

    `shown` is the path or URL of the store as the reader knows it.

    Raises:
        UsageError: there was no such run, or its journal cannot be read.

    """
    status = read_status(store, words)
    kept = KeptRun(store, status.id, shown, status.began, read_before(store, status.id))
    return kept.page(status.result, is_alive=status.is_alive)


def begun_run(store: Store, run: str, shown: str) -> KeptRun:
    """Return a run that begins now; `shown` is the store as the reader knows it."""
    return KeptRun(store, run, shown, time.time(), read_before(store, run))


class PageWriter:
    """An observer of one run that keeps the page about it.

    Whatever ends the process, the file is a whole page of the run as it was a little before. What is
    wrong with the file is said once and disturbs nothing.
    """

    def __init__(self, path: Path, scheduler: Scheduler, about: PlanSummary, kept: KeptRun) -> None:
        """Write to `path` about the run of `scheduler`, whose plan `about` sums up."""
        self._path = path
        self._scheduler = scheduler
        self._about = about
        self._kept = kept
        self._due = 0.0
        self._cost = 0.0
        self._writing: threading.Thread | None = None
        self._broken = False

    def observe(self, event: Event, actions: Sequence[Action], now: float) -> None:
        """Do nothing: the scheduler knows everything."""

    def look_at_clock(self, now: float) -> None:
        """Begin to write the page, if the last one is old."""
        if now >= self._due and not (self._writing and self._writing.is_alive()):
            self._due = now + max(_PAUSE, _SHARE * self._cost)
            write = partial(self._write, self._result(now), is_alive=True)
            self._writing = threading.Thread(target=write)
            self._writing.start()

    def close(self, now: float) -> None:
        """Write the page for the last time."""
        self.wait()
        self._write(self._result(now), is_alive=False)

    def wait(self) -> None:
        """Wait until a page that is being written is there."""
        if self._writing is not None:
            self._writing.join()

    def _result(self, now: float) -> Result:
        return make_result(self._about, self._scheduler, now, self._kept.run)

    def _write(self, result: Result, *, is_alive: bool) -> None:
        began = time.thread_time()
        page = self._kept.page(result, is_alive=is_alive)
        try:
            durable.deliver(self._path, page.encode())
        except OSError as error:
            if not self._broken:
                self._broken = True
                say(f"--report {self._path}: {error.strerror}; the build goes on")
        self._cost = time.thread_time() - began


def log_ends(store: Store, run_id: str, result: Result) -> dict[str, str]:
    """Return the ends of the logs of what failed, as far as they are there."""
    ends = {}
    run = store.runs.of(run_id)
    for unit in result.with_state(UnitState.FAILED)[:_LOGS]:
        try:
            with (
                run.brought(store.root / unit.log, run.names.log(unit.name)) as path,
                path.open("rb") as file,
            ):
                file.seek(max(0, file.seek(0, 2) - _LOG_END))
                ends[unit.name] = file.read(_LOG_END).decode(errors="replace")
        except (OSError, StoreError, TooLarge):
            continue
    return ends
