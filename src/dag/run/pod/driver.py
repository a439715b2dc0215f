"""Drives a Pod's watch: its clock, its result, and what is at work for it at the same time.

What happens becomes an event for `dag.core.pod.watch`; of what that returns, time and result are
dealt with here, and the rest is done by whoever follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from dag.core.pod.events import (
    Abort,
    Conclude,
    DeletePod,
    DropFetch,
    DropLogs,
    FetchPackages,
    FindPod,
    PodEvent,
    PodResult,
    PrintLog,
    ReadLog,
    Tell,
    Ticked,
    WakeAt,
    WatchFailed,
)
from dag.core.pod.states import WatchRules
from dag.core.pod.watch import PodWatch
from dag.errors import DagError

Outward = PrintLog | Tell | ReadLog | DropLogs | FetchPackages | DropFetch | FindPod | DeletePod
"""An action of the watch that has to do with more than its clock and its result."""


class WatchDriver:
    """The watch of one Pod while it is followed."""

    def __init__(self, rules: WatchRules, execute: Callable[[Outward], None]) -> None:
        """Watch by `rules`; `execute` does what the watch asks for."""
        self.watch = PodWatch(rules)
        self._execute = execute
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[PodResult] = self._loop.create_future()
        """How the Pod's work ended, or what went wrong, wherever that was."""
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> float:
        """Return the time of the clock that the watch goes by, in seconds."""
        return self._loop.time()

    def tell(self, event: PodEvent) -> None:
        """Give the watch an event; after the result none counts."""
        if self.result.done():
            return
        try:
            for action in self.watch.handle(event, self.now):
                match action:
                    case WakeAt(when):
                        self._stop_timer()
                        self._timer = self._loop.call_at(when, self.tell, Ticked())
                    case Conclude(result):
                        self.result.set_result(result)
                    case Abort(error):
                        self.result.set_exception(error)
                    case _:
                        self._execute(action)
        except Exception as error:  # noqa: BLE001  # whoever awaits the result raises it
            self._fail(error)

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begin work beside the watch, which is told if it fails."""
        task = self._loop.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except DagError as error:
            self.tell(WatchFailed(error))
        except Exception as error:  # noqa: BLE001  # whoever awaits the result raises it
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)

    async def close(self) -> None:
        """Stop the clock and all work, and wait for its end."""
        self._stop_timer()
        for work in self._tasks:
            work.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # It has this, in turn: what is known of a Pod would stay until garbage is collected, which takes
        # the longer the more there is, and meanwhile nothing else goes on.
        self._execute = _do_nothing

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _do_nothing(_action: Outward) -> None:
    """Do nothing that a watch asks for: nobody follows it any more."""
