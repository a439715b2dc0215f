"""Runs the watch of one Pod: it has the clock, the streams and the API, and decides nothing.

What happens becomes an event for `dag.core.pod.watch`, and what that returns is done here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import assert_never

from dag.core.kube.objects import KubeObject, events_path, selects_events
from dag.core.pod.events import (
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
    PodCreated,
    PodEventSeen,
    PodEventsHidden,
    PodGone,
    PodNotCreated,
    PodResult,
    PodSeen,
    PrintLog,
    ReadLog,
    Tell,
)
from dag.core.pod.manifest import RUN_LABEL
from dag.core.pod.reminder import Reminder
from dag.core.pod.states import PATIENCE, WatchRules
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.watch import Listed, ObjectGone, ObjectSeen, WatchStopped, watch_objects
from dag.report.terminal import Terminal
from dag.run.pod.create import create_pod, find_pod, pods_path
from dag.run.pod.driver import Outward, WatchDriver
from dag.run.pod.out import OutTarget, fetch_packages


class PodFollower:
    """One Pod that is made from a manifest, followed from its creation to its end."""

    def __init__(
        self,
        kube: Kube,
        manifest: KubeObject,
        rules: WatchRules,
        terminal: Terminal,
        *,
        target: OutTarget | None = None,
        quiet: bool = False,
    ) -> None:
        """Take `target` for the place of what is brought back; with `quiet`, -v tells the rest."""
        self._driver = WatchDriver(rules, self._execute)
        self.watch = self._driver.watch
        self._kube = kube
        self._manifest = manifest
        self._terminal = terminal
        self._target = target
        self._quiet = quiet
        self._reminder = Reminder(self._driver.now)
        self._logs: set[asyncio.Task[None]] = set()
        self._request: asyncio.Task[None] | None = None
        """The latest request to create, find or delete the Pod."""
        self._fetching: set[asyncio.Task[None]] = set()

    async def run(self) -> PodResult:
        """Create the Pod, follow it and return how it ended.

        When the task is cancelled, the Pod is deleted, and this goes on until it is gone.

        Raises:
            DagError: the Pod could not be created, contact was lost for good, or what was built
                could not be brought back.
            Interrupted: the task was cancelled.

        """
        self._request = self._driver.spawn(self._create())
        try:
            while not self._driver.result.done():
                try:
                    await asyncio.wait([self._driver.result])
                except asyncio.CancelledError:
                    task = asyncio.current_task()
                    assert task is not None  # noqa: S101  # it has just been cancelled
                    task.uncancel()  # what follows is not to be cut short by what asked for it
                    self._driver.tell(InterruptRequested())
            return self._driver.result.result()
        finally:
            await self._driver.close()

    def _execute(self, action: Outward) -> None:
        match action:
            case PrintLog(container, lines):
                self._reminder.hear(self._driver.now)
                self._terminal.log(container, lines)
            case Tell(text, detail):
                self._reminder.hear(self._driver.now)
                (self._terminal.detail if detail or self._quiet else self._terminal.say)(text)
            case ReadLog():
                self._logs.add(task := self._driver.spawn(self._read_log(action)))
                task.add_done_callback(self._logs.discard)
            case DropLogs():
                _cancel(self._logs)
            case FetchPackages():
                self._fetching = {self._driver.spawn(self._fetch())}
            case DropFetch():
                _cancel(self._fetching)
            case FindPod(patience):
                self._replace_request(self._find(patience))
            case DeletePod(patience):
                self._replace_request(self._delete(patience))
            case _:
                assert_never(action)

    def _replace_request(self, work: Coroutine[None, None, None]) -> None:
        if self._request is not None:
            self._request.cancel()
        self._request = self._driver.spawn(work)

    # ---- requests and streams -----------------------------------------------------------------

    @property
    def _path(self) -> str:
        return f"{pods_path(self._manifest)}/{self.watch.name}"

    async def _create(self) -> None:
        self._know(await create_pod(self._kube, self._manifest))

    async def _find(self, patience: float) -> None:
        found = await find_pod(self._kube, self._manifest, patience=patience)
        if found is None:
            self._driver.tell(PodNotCreated())
        else:
            self._know(found)

    def _know(self, pod: KubeObject) -> None:
        self._reminder.see(pod, self._driver.now)
        self._driver.tell(PodCreated(pod))
        self._driver.spawn(self._watch_pod(pod))
        self._driver.spawn(self._remind())
        self._driver.spawn(self._watch_events(pod))

    async def _delete(self, patience: float) -> None:
        uid = str(self.watch.pod["metadata"]["uid"])
        existed = await self._kube.delete(self._path, uid=uid, patience=patience)
        self._driver.tell(DeletionAccepted(existed))

    async def _watch_pod(self, pod: KubeObject) -> None:
        named = f"metadata.name={self.watch.name}"
        news = watch_objects(
            self._kube, pods_path(pod), known=[pod], patience=PATIENCE, fieldSelector=named
        )
        async for change in news:
            match change:
                case ObjectSeen(item):
                    self._reminder.see(item, self._driver.now)
                    self._driver.tell(PodSeen(item))
                case ObjectGone(item):
                    self._driver.tell(PodGone(item))
                case Listed():
                    self._driver.tell(NewsResumed())
                case WatchStopped():
                    self._driver.tell(NewsStopped())
                case _:
                    assert_never(change)

    async def _remind(self) -> None:
        while True:
            await asyncio.sleep(max(0.0, self._reminder.due - self._driver.now))
            if words := self._reminder.remind(self._driver.now):
                (self._terminal.detail if self._quiet else self._terminal.say)(words)

    async def _watch_events(self, pod: KubeObject) -> None:
        about = selects_events(pod)
        try:
            async for change in watch_objects(
                self._kube, events_path(pod), patience=PATIENCE, fieldSelector=about
            ):
                if isinstance(change, ObjectSeen):
                    self._driver.tell(PodEventSeen(change.item))
        except ApiError:
            # They only explain: large clusters keep them apart, where they fail by themselves.
            self._driver.tell(PodEventsHidden())

    async def _read_log(self, asked: ReadLog) -> None:
        name, stream = asked.container, asked.stream
        lines = self._kube.log(self._path, name, since=asked.since, follow=asked.follow)
        try:
            async for batch in lines:
                self._driver.tell(LogRead(name, stream, batch))
        except ApiError as error:
            self._driver.tell(LogBroke(name, stream, error.status, error))
        else:
            self._driver.tell(LogEnded(name, stream))

    async def _fetch(self) -> None:
        assert self._target is not None  # noqa: S101  # the rules ask for it with a target alone
        run = str(self.watch.pod["metadata"]["labels"][RUN_LABEL])
        error = await fetch_packages(self._kube, self._path, run, self._target, self._terminal)
        self._driver.tell(PackagesFetched(error))


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
