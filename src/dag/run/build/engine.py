"""The only loop of a build: it has the clock, collects events, and carries out actions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from enum import Enum
from typing import Any, Protocol

from dag.core.build.events import (
    INTERRUPTED,
    Action,
    Cancel,
    Cancelled,
    Event,
    Faulted,
    ProvePackages,
    Start,
    StopRequested,
    Ticked,
    WakeAt,
)
from dag.core.build.journal import encode_event
from dag.core.build.scheduler import Scheduler
from dag.errors import DagError, words_of
from dag.io.build.journal import Journal
from dag.run.aside import aside
from dag.run.build.runner import Runner
from dag.run.lasting import keep_what_is_there


class Observer(Protocol):
    """It sees everything, and changes nothing."""

    def observe(self, event: Event, actions: Sequence[Action], now: float) -> None:
        """Look at an event, and at the actions with which the scheduler reacted."""

    def look_at_clock(self, now: float) -> None:
        """Look at the clock: this is called after events, and at least every second."""


class Moment(Enum):
    """How far the engine is with an event or an action."""

    COME = "has come"
    WRITTEN = "is in the journal"
    BEGUN = "has begun"


class Engine:
    """One run, which drives a scheduler and a runner until every unit is settled."""

    def __init__(
        self,
        scheduler: Scheduler,
        runner: Runner,
        journal: Journal,
        observers: Sequence[Observer],
    ) -> None:
        self.scheduler = scheduler
        self._runner = runner
        self._journal = journal
        self._observers = observers
        self._events: list[Event] = []
        self._arrived = asyncio.Event()
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._bugs: list[BaseException] = []
        self._interrupted = False
        self._wake: float | None = None
        self._zero = time.monotonic()

    @property
    def now(self) -> float:
        """Return the seconds since the engine was made."""
        return time.monotonic() - self._zero

    async def run(self) -> bool:
        """Run to the end; return False if its task was cancelled and the build ended early.

        Raises:
            DagError: the runner could not be opened.

        """
        try:
            began = await self._runner.open()
            keep_what_is_there()  # such as all that is known of repositories, and who needs whom
            await self._handle([began])
            while not self.scheduler.finished:
                try:
                    events = await self._next()
                except asyncio.CancelledError:
                    self._interrupt()
                else:
                    await self._handle(events)
                if self._bugs and self.scheduler.stopped is None:
                    await self._handle([StopRequested("a bug in dag")])
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._runner.close()
        if self._bugs:
            raise self._bugs[0]
        return not self._interrupted

    def reached(self, moment: Moment, what: Event | Action) -> None:
        """Do nothing: this names each transition, and a test that is to die at one takes its place."""

    def stop(self, cause: str) -> None:
        """Let the run end early, because of something that it does not know of."""
        self._tell(StopRequested(cause))

    async def _next(self) -> list[Event]:
        """Wait for events, and return all that have come; none if only time has passed."""
        timeout = 1.0 if self._wake is None else max(0.0, min(1.0, self._wake - self.now))
        try:
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        except TimeoutError:
            if self._wake is None or self.now < self._wake:
                for observer in self._observers:
                    observer.look_at_clock(self.now)
                return []
            self._wake = None
            return [Ticked()]
        self._arrived.clear()
        events, self._events = self._events, []
        return events

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self._arrived.set()

    def _interrupt(self) -> None:
        """Let the run end early because its task was cancelled, which has been heard with this."""
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        self._interrupted = True
        self.stop(INTERRUPTED)

    async def _handle(self, events: Sequence[Event]) -> None:
        if not events:
            return
        now = self.now
        todo: list[Action] = []
        for event in events:
            self.reached(Moment.COME, event)
            self._journal.append(encode_event(now, event))
            actions = self.scheduler.handle(event, now)
            for observer in self._observers:
                observer.observe(event, actions, now)
            todo += actions
        # The journal must have the events before their actions are carried out.
        await self._sync()
        for event in events:
            self.reached(Moment.WRITTEN, event)
        for action in todo:
            self._do(action)
            self.reached(Moment.BEGUN, action)
        for observer in self._observers:
            observer.look_at_clock(self.now)

    async def _sync(self) -> None:
        """Return when the journal is on the disk, and not before, also if this task is cancelled.

        Disks take milliseconds. What else the build does goes on meanwhile, and all events that come
        in that time are written at once after it.
        """
        written = asyncio.ensure_future(aside(self._journal.sync))
        while not written.done():
            try:
                await asyncio.wait([written])
            except asyncio.CancelledError:
                self._interrupt()
        written.result()

    def _do(self, action: Action) -> None:
        match action:
            case Start(key, attempt):
                self._spawn(key, attempt, self._attempt(action))
            case ProvePackages(key, attempt):
                self._spawn(key, attempt, self._prove(action))
            case Cancel(key, attempt):
                task = self._tasks.get((key, attempt))
                if task is not None:
                    task.cancel()
                else:
                    self._spawn(key, attempt, self._runner.cancel(key, attempt))
            case WakeAt(when):
                self._wake = when
            case _:
                pass

    def _spawn(self, key: str, attempt: int, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"{key} {attempt}")
        self._tasks[key, attempt] = task

        def done(task: asyncio.Task[None]) -> None:
            if self._tasks.get((key, attempt)) is task:
                del self._tasks[key, attempt]
            if task.cancelled():
                self._tell(Cancelled(key, attempt))
            elif (error := task.exception()) is not None:
                self._bugs.append(error)
                self._tell(Faulted(key, attempt, f"a bug in dag: {error!r}"))

        task.add_done_callback(done)

    async def _attempt(self, start: Start) -> None:
        event: Event
        try:
            event = await self._runner.run(start)
        except (OSError, DagError) as error:
            event = Faulted(start.key, start.attempt, words_of(error))
        self._tell(event)

    async def _prove(self, prove: ProvePackages) -> None:
        event: Event
        try:
            event = await self._runner.prove(prove)
        except (OSError, DagError) as error:
            event = Faulted(prove.key, prove.attempt, words_of(error))
        self._tell(event)
