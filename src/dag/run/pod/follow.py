"""Follows one Pod from its creation to its result: the loop behind `dag pod`.

What happens to the Pod is read off its API object (`core.podstate`); this module holds the clock,
the streams and the clean-up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dag.core.kube.objects import KubeObject
from dag.core.pod import state as podstate
from dag.core.pod.log import PodLog
from dag.core.pod.manifest import ARCH_LABEL, BUILD, OURS, OUT, RUN_LABEL
from dag.core.pod.state import Cause, Ending, Waiting
from dag.errors import DagError, InfrastructureError, Interrupted, first_of
from dag.io.kube.api import ApiError, Kube
from dag.report.terminal import Terminal
from dag.run.pod.logs import ContainerLog, LogSource, follow_log, missing
from dag.run.pod.out import Target, collect, end

# An image that a registry does not have may be one that is just being pushed.
_HOPELESS_GRACE = 10.0
# Seconds for the API server to come back during a build that goes on without it.
_PATIENCE = 900.0
# After the Pod is lost, its logs get this many seconds to end by themselves.
_LOG_GRACE = 5.0
# … and a whole one as long as its end may take to be read.
_LOG_PATIENCE = 300.0
_LOST = frozenset({Cause.NODE_LOST, Cause.DELETED, Cause.PREEMPTED, Cause.EVICTED})
_NEVER_BUILT = frozenset({Cause.INIT, Cause.START})


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """How a Pod is followed."""

    pending_timeout: float
    """Seconds that may pass in which no container runs before the build starts."""
    out: Path | None = None
    """Where built packages are brought."""
    label: str = ""
    """What tells this Pod's log and key there from those of others."""


@dataclass(frozen=True, slots=True)
class PodResult:
    """How it ended, and the last lines of the log of the container that tells."""

    name: str
    """The Pod's; empty if there never was one."""
    ending: Ending
    tail: tuple[str, ...] = ()
    failed_target: str | None = None
    kept: bool = True
    """Whether the Pod is still there, and with it its log."""
    seconds: float = 0.0
    label: str = ""
    """The architecture, where there are several."""


def pods_path(manifest: KubeObject) -> str:
    """Give the API's path to the pods of the manifest's namespace."""
    return f"/api/v1/namespaces/{manifest['metadata']['namespace']}/pods"


def selector(manifest: KubeObject) -> str:
    """Give the label selector that finds the very pod that was made from this manifest."""
    labels = manifest["metadata"]["labels"]
    return ",".join(f"{name}={labels[name]}" for name in (RUN_LABEL, ARCH_LABEL))


async def create_pod(kube: Kube, manifest: KubeObject) -> KubeObject:
    """Create the Pod that `manifest` describes, exactly once.

    Raises:
        ApiError: the API server refused it.

    """
    return await kube.create(pods_path(manifest), manifest, label=selector(manifest))


async def run_pod(
    kube: Kube, manifest: KubeObject, watching: Watching, terminal: Terminal
) -> PodResult:
    """Create a Pod, follow it and say how it ended.

    A Pod that never got to building is deleted. So is one whose command is interrupted
    (cancelled): then this waits until the Pod is gone. A Pod that built, well or badly, stays, and
    with it its log.

    Raises:
        InfrastructureError: the cluster failed, or the Pod could not start.
        Interrupted: the task was cancelled.

    """
    follower: _Follower | None = None
    began = time.monotonic()
    try:
        pod = await create_pod(kube, manifest)
        follower = _Follower(kube, pod, watching, terminal)
        terminal.leaving = f"pod {follower.name} may still be there"
        terminal.say(f"pod {follower.name} created in namespace {follower.namespace}")
        kube.patience = _PATIENCE
        return replace(await follower.run(), seconds=time.monotonic() - began)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # it has just been cancelled
        task.uncancel()  # what follows is not to be cut short by what asked for it
        kube.patience = 10.0
        try:
            left = await _remove(kube, manifest, follower, terminal)
        except DagError as error:
            name = f"pod {follower.name}" if follower else "a pod that was just being created"
            left = f"{name} may still be there: {error.message}"
        raise Interrupted(f"interrupted; {left or 'no pod is left behind'}") from None


async def _remove(
    kube: Kube, manifest: KubeObject, follower: _Follower | None, terminal: Terminal
) -> str | None:
    """Delete what this run created; answers what to say of a Pod that would not go.

    Raises:
        DagError: the cluster does not answer as it should.

    """
    if follower is None:
        # The request to create may have been on its way.
        found = (await kube.get(pods_path(manifest), labelSelector=selector(manifest)))["items"]
        if not found:
            return None
        follower = _Follower(kube, found[0], Watching(pending_timeout=0), terminal)
        terminal.leaving = f"pod {follower.name} may still be there"
    terminal.say(f"deleting pod {follower.name} (interrupt again to leave at once)")
    return None if await follower.delete() else f"pod {follower.name} is still there"


class _Follower:
    """One Pod: its last known state, and what follows from each change of it."""

    def __init__(self, kube: Kube, pod: KubeObject, watching: Watching, terminal: Terminal) -> None:
        self.pod = pod
        self.gone = False
        self.name = str(pod["metadata"]["name"])
        self.namespace = str(pod["metadata"]["namespace"])
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self._kube = kube
        self._terminal = terminal
        self._watching = watching
        self._events: dict[str, KubeObject] = {}
        self._changed = asyncio.Event()
        self._said: str | None = None
        self._idle_since: float | None = time.monotonic()
        self._hopeless_since: float | None = None
        self._logs: dict[str, ContainerLog] = {}
        self._lost: str | None = None
        self._collecting: asyncio.Task[DagError | None] | None = None
        self._unstarted = ""
        """Why a container that should have taken what was built is not waited for any longer."""

    async def run(self) -> PodResult:
        """Follow the Pod to its end, its logs with it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                watchers = [
                    tasks.create_task(self._watch_pod()),
                    tasks.create_task(self._watch_events()),
                ]
                logs: dict[str, asyncio.Task[PodLog]] = {}
                while True:
                    self._start_logs(tasks, logs)
                    self._start_collecting(tasks)
                    ending = podstate.how_ended(
                        self.pod, deleted=self.gone, unstarted=self._unstarted
                    )
                    if ending is not None and not self._is_out_coming(ending):
                        break
                    await self._check_waiting()
                    await self._change()
                await self._finish_logs(logs, ending)
                refused = await self._collected(ending)
                for watcher in watchers:
                    watcher.cancel()
        except* DagError as group:
            raise first_of(group) from None
        if refused is not None:
            raise refused
        never_built = ending.cause in _NEVER_BUILT
        if never_built:
            await self.delete()
        log = self._logs.get(ending.container)
        return PodResult(
            self.name,
            ending,
            tuple(log.tail) if log else (),
            log.failed_target if log else None,
            kept=not (never_built or self.gone),
        )

    async def delete(self) -> bool:
        """Delete the Pod and wait until it is gone; False if it would not go in time."""
        uid = self.pod["metadata"]["uid"]
        grace = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
        await self._kube.delete(self.path, uid=uid)
        deadline = time.monotonic() + grace + 30
        while time.monotonic() < deadline:
            try:
                pod = await self._kube.get(self.path)
            except ApiError as error:
                if error.status == 404:
                    return True
                raise
            if pod["metadata"]["uid"] != uid:
                return True
            await asyncio.sleep(0.5)
        return False

    async def _watch_pod(self) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        async for kind, pod in self._kube.watch(path, fieldSelector=f"metadata.name={self.name}"):
            if pod["metadata"]["uid"] == self.pod["metadata"]["uid"]:
                self.pod = pod
                self.gone = kind == "DELETED"
                self._changed.set()

    async def _watch_events(self) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/events"
        about = f"involvedObject.uid={self.pod['metadata']['uid']}"
        try:
            async for _, event in self._kube.watch(path, fieldSelector=about):
                self._events[event["metadata"]["uid"]] = event
                if event.get("reason") == "NodeNotReady":
                    node = self.pod["spec"].get("nodeName", "?")
                    self._tell(f"node {node} does not answer; Kubernetes waits for it")
                self._changed.set()
        except ApiError as error:
            if error.status != 403:
                raise
            self._terminal.detail("events may not be read, so waiting is explained less well")

    async def _change(self) -> None:
        # Once a second even without news: time alone changes what is too long.
        # (`wait_for` of Python 3.11 loses a cancellation that comes together with news.)
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._changed.wait()
        self._changed.clear()

    def _start_logs(self, tasks: asyncio.TaskGroup, logs: dict[str, asyncio.Task[PodLog]]) -> None:
        for name, container in podstate.containers(self.pod).items():
            if name in logs or name == OUT or not podstate.has_started(container):
                continue
            source = LogSource(
                kube=self._kube,
                pod_path=self.path,
                container=name,
                ended=lambda name=name: self._container_ended(name),  # type: ignore[misc]
                gone=lambda: self.gone,
            )
            self._logs[name] = log = ContainerLog(partial(self._terminal.log, name))
            logs[name] = tasks.create_task(follow_log(source, log.take))

    def _container_ended(self, name: str) -> bool:
        return self.gone or podstate.has_ended(podstate.containers(self.pod).get(name, {}))

    async def _finish_logs(self, logs: dict[str, asyncio.Task[PodLog]], ending: Ending) -> None:
        # What others have put into the Pod may never end.
        ours = [task for name, task in logs.items() if name in OURS]
        if ours:
            grace = _LOG_GRACE if ending.cause in _LOST else _LOG_PATIENCE
            _, unfinished = await asyncio.wait(ours, timeout=grace)
            for task in logs.values():
                task.cancel()  # does nothing to those that have ended
            if unfinished:
                self._terminal.say("the end of the log could not be read")
        build = logs.get(BUILD)
        if build is not None and build.done() and not build.cancelled() and not build.exception():
            self._lost = missing(build.result(), self._logs[BUILD])
            if self._lost:
                self._terminal.say(self._lost)

    async def _check_waiting(self) -> None:
        """Tell why nothing runs yet; give up when that cannot heal, or takes too long."""
        now = time.monotonic()
        late = podstate.late(self.pod)
        if late is None and podstate.is_working(self.pod):
            self._idle_since = self._hopeless_since = None
            return
        if self._idle_since is None:
            self._idle_since = now
        events = sorted(self._events.values(), key=podstate.event_time)
        waiting = podstate.why_waiting(self.pod, events)
        if waiting is None:
            waiting = Waiting(f"{f'container {late}' if late else 'the pod'} has not started")
        else:
            self._tell(waiting.message)
        if not waiting.hopeless:
            self._hopeless_since = None
        elif self._hopeless_since is None:
            self._hopeless_since = now
        limit = self._watching.pending_timeout
        if self._hopeless_since is not None and now - self._hopeless_since > _HOPELESS_GRACE:
            await self._give_up(waiting.message, waiting.hint)
        if now - self._idle_since > limit:
            await self._give_up(
                f"nothing ran for {limit:g} s (--pending-timeout): {waiting.message}", waiting.hint
            )

    async def _give_up(self, message: str, hint: str | None) -> None:
        if podstate.late(self.pod) is not None:
            self._unstarted = f"{message} ({hint})" if hint else message
            self._changed.set()
            return
        self._terminal.say(f"giving up, deleting pod {self.name}")
        await self.delete()
        raise InfrastructureError(message, hint=hint)

    def _tell(self, message: str) -> None:
        if message != self._said:
            self._said = message
            self._terminal.say(message)

    def _start_collecting(self, tasks: asyncio.TaskGroup) -> None:
        """Bring the packages back as soon as the build has ended; an upload may go on meanwhile."""
        out = self._watching.out
        found = podstate.containers(self.pod)
        if out is None or self._collecting is not None or self.gone:
            return
        if podstate.has_ended(found.get(BUILD, {})) and podstate.is_running(found.get(OUT, {})):
            run = self.pod["metadata"]["labels"][RUN_LABEL]
            target = Target(out, self._watching.label)
            work = collect(self._kube, self.path, run, target, self._terminal)
            self._collecting = tasks.create_task(self._collect(work, run))

    async def _collect(self, work: Coroutine[None, None, object], run: str) -> DagError | None:
        # An error waits for its turn: how the build ended comes first.
        error: DagError | None = None
        try:
            await work
        except DagError as failed:
            error = failed
        except OSError as failed:
            error = InfrastructureError(f"{failed.filename}: {failed.strerror}")
        if error is not None:
            with suppress(ApiError):  # then it ends by itself, later
                await end(self._kube, self.path, run)
        return error

    def _is_out_coming(self, ending: Ending) -> bool:
        # The container that serves the packages starts last: a build may be faster.
        state = podstate.containers(self.pod).get(OUT, {}).get("state", {})
        coming = "waiting" in state and not self._unstarted
        return coming and ending.cause not in _LOST | _NEVER_BUILT

    async def _collected(self, ending: Ending) -> DagError | None:
        """Wait for the packages; of a build that failed as far as they are still to be had."""
        if self._watching.out is None or ending.cause in _NEVER_BUILT:
            return None
        if self._collecting is not None and ending.cause not in _LOST:
            error = await self._collecting
        else:
            if self._collecting is not None:
                self._collecting.cancel()
            why = self._unstarted or "their pod has ended"
            error = InfrastructureError(f"the packages cannot be brought back: {why}")
        if error is None:
            if self._lost:
                self._terminal.say(f"{self._watching.out / 'build.log'} has the whole log")
            return None
        if ending.exit_code == 0:
            return error
        # What the build came to weighs more.
        self._terminal.say(error.message)
        return None
