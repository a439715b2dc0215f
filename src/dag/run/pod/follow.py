"""Runs the watch of one Pod: it has the clock, the streams and the API, and decides nothing.

What happens becomes an event for `dag.core.pod.watch`, and what that returns is done here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import assert_never

from dag.core.kube.objects import KubeObject
from dag.core.pod.events import (
    Abort,
    Conclude,
    DeletePod,
    DeletionAccepted,
    DropFetch,
    DropLogs,
    FetchPackages,
    FindPod,
    InterruptRequested,
    LogBroke,
    LogEnded,
    LogRead,
    NewsResumed,
    NewsStopped,
    PackagesFetched,
    PodAction,
    PodCreated,
    PodEvent,
    PodEventSeen,
    PodEventsHidden,
    PodGone,
    PodNotCreated,
    PodResult,
    PodSeen,
    PrintLog,
    ReadLog,
    Tell,
    Ticked,
    WakeAt,
    WatchFailed,
)
from dag.core.pod.manifest import RUN_LABEL
from dag.core.pod.reminder import Reminder
from dag.core.pod.states import PATIENCE, WatchRules
from dag.core.pod.watch import PodWatch
from dag.errors import DagError
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.watch import Listed, ObjectGone, ObjectSeen, WatchStopped, watch_objects
from dag.report.terminal import Terminal
from dag.run.pod.create import create_pod, find_pod, pods_path
from dag.run.pod.out import Target, fetch_packages


class PodFollower:
    """One Pod that is made from a manifest, followed from its creation to its end."""

    def __init__(
        self,
        kube: Kube,
        manifest: KubeObject,
        rules: WatchRules,
        terminal: Terminal,
        *,
        target: Target | None = None,
        quiet: bool = False,
    ) -> None:
        """Take `target` for the place of what is brought back; with `quiet`, -v tells the rest."""
        self.watch = PodWatch(rules)
        self._kube = kube
        self._manifest = manifest
        self._terminal = terminal
        self._target = target
        self._quiet = quiet
        self._loop = asyncio.get_running_loop()
        self._reminder = Reminder(self._loop.time())
        self._result: asyncio.Future[PodResult] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._logs: set[asyncio.Task[None]] = set()
        self._request: asyncio.Task[None] | None = None
        """The latest request to create, find or delete the Pod."""
        self._fetching: asyncio.Task[None] | None = None

    async def run(self) -> PodResult:
        """Create the Pod, follow it and return how it ended.

        When the task is cancelled, the Pod is deleted, and this goes on until it is gone.

        Raises:
            DagError: the Pod could not be created, contact was lost for good, or what was built
                could not be brought back.
            Interrupted: the task was cancelled.

        """
        self._request = self._spawn(self._create())
        try:
            while not self._result.done():
                try:
                    await asyncio.wait([self._result])
                except asyncio.CancelledError:
                    task = asyncio.current_task()
                    assert task is not None  # noqa: S101  # it has just been cancelled
                    task.uncancel()  # what follows is not to be cut short by what asked for it
                    self._tell(InterruptRequested())
            return self._result.result()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for work in self._tasks:
                work.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell(self, event: PodEvent) -> None:
        if self._result.done():
            return
        try:
            for action in self.watch.handle(event, self._loop.time()):
                self._execute(action)
        except Exception as error:  # noqa: BLE001  # `run` raises it, wherever it happened
            if not self._result.done():
                self._result.set_exception(error)

    def _execute(self, action: PodAction) -> None:
        match action:
            case PrintLog(container, lines):
                self._reminder.hear(self._loop.time())
                self._terminal.log(container, lines)
            case Tell(text, detail):
                self._reminder.hear(self._loop.time())
                (self._terminal.detail if detail or self._quiet else self._terminal.say)(text)
            case WakeAt(when):
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._loop.call_at(when, self._tell, Ticked())
            case Conclude(result):
                self._result.set_result(result)
            case Abort(error):
                self._result.set_exception(error)
            case _:
                self._begin(action)

    def _begin(
        self, action: ReadLog | DropLogs | FetchPackages | DropFetch | FindPod | DeletePod
    ) -> None:
        match action:
            case ReadLog():
                self._logs.add(task := self._spawn(self._read_log(action)))
                task.add_done_callback(self._logs.discard)
            case DropLogs():
                for task in self._logs:
                    task.cancel()
            case FetchPackages():
                self._fetching = self._spawn(self._fetch())
            case DropFetch():
                if self._fetching is not None:
                    self._fetching.cancel()
            case FindPod(patience):
                self._replace_request(self._find(patience))
            case DeletePod(patience):
                self._replace_request(self._delete(patience))
            case _:
                assert_never(action)

    def _replace_request(self, work: Coroutine[None, None, None]) -> None:
        if self._request is not None:
            self._request.cancel()
        self._request = self._spawn(work)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except DagError as error:
            self._tell(WatchFailed(error))
        except Exception as error:  # noqa: BLE001  # `run` raises it, wherever it happened
            if not self._result.done():
                self._result.set_exception(error)

    # ---- requests and streams -----------------------------------------------------------------

    @property
    def _path(self) -> str:
        return f"{pods_path(self._manifest)}/{self.watch.name}"

    async def _create(self) -> None:
        self._know(await create_pod(self._kube, self._manifest))

    async def _find(self, patience: float) -> None:
        found = await find_pod(self._kube, self._manifest, patience=patience)
        if found is None:
            self._tell(PodNotCreated())
        else:
            self._know(found)

    def _know(self, pod: KubeObject) -> None:
        self._reminder.see(pod, self._loop.time())
        self._tell(PodCreated(pod))
        self._spawn(self._watch_pod(pod))
        self._spawn(self._remind())
        self._spawn(self._watch_events(pod))

    async def _delete(self, patience: float) -> None:
        uid = str(self.watch.pod["metadata"]["uid"])
        existed = await self._kube.delete(self._path, uid=uid, patience=patience)
        self._tell(DeletionAccepted(existed))

    async def _watch_pod(self, pod: KubeObject) -> None:
        named = f"metadata.name={self.watch.name}"
        news = watch_objects(
            self._kube, pods_path(pod), known=[pod], patience=PATIENCE, fieldSelector=named
        )
        async for change in news:
            match change:
                case ObjectSeen(item):
                    self._reminder.see(item, self._loop.time())
                    self._tell(PodSeen(item))
                case ObjectGone(item):
                    self._tell(PodGone(item))
                case Listed():
                    self._tell(NewsResumed())
                case WatchStopped():
                    self._tell(NewsStopped())
                case _:
                    assert_never(change)

    async def _remind(self) -> None:
        while True:
            await asyncio.sleep(max(0.0, self._reminder.due - self._loop.time()))
            if words := self._reminder.remind(self._loop.time()):
                (self._terminal.detail if self._quiet else self._terminal.say)(words)

    async def _watch_events(self, pod: KubeObject) -> None:
        path = pods_path(pod).removesuffix("pods") + "events"
        about = f"involvedObject.uid={pod['metadata']['uid']}"
        try:
            async for change in watch_objects(
                self._kube, path, patience=PATIENCE, fieldSelector=about
            ):
                if isinstance(change, ObjectSeen):
                    self._tell(PodEventSeen(change.item))
        except ApiError as error:
            if error.status != 403:
                raise
            self._tell(PodEventsHidden())

    async def _read_log(self, asked: ReadLog) -> None:
        name, stream = asked.container, asked.stream
        lines = self._kube.log(self._path, name, since=asked.since, follow=asked.follow)
        try:
            async for batch in lines:
                self._tell(LogRead(name, stream, batch))
        except ApiError as error:
            self._tell(LogBroke(name, stream, error.status, error))
        else:
            self._tell(LogEnded(name, stream))

    async def _fetch(self) -> None:
        assert self._target is not None  # noqa: S101  # the rules ask for it with a target alone
        run = str(self.watch.pod["metadata"]["labels"][RUN_LABEL])
        error = await fetch_packages(self._kube, self._path, run, self._target, self._terminal)
        self._tell(PackagesFetched(error))
