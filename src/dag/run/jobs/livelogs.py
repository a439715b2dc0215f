"""Reads what the build of a unit writes in a cluster, while its Pod is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

from dag.core.build.scripts import Trailer
from dag.core.jobs.options import RunPlace
from dag.core.jobs.standing import is_driven
from dag.core.pod.lastwords import counted_log
from dag.core.pod.log import PodLog
from dag.core.pod.manifest import BUILD
from dag.core.pod.reading import AGAIN, ContainerLog, describe_loss
from dag.core.pod.status import containers, has_ended, has_started
from dag.errors import UsageError
from dag.io.kube.api import ApiError, Kube
from dag.io.kube.opening import opened_cluster
from dag.report.terminal import say
from dag.run.jobs.standing import look_at_run, read_standings, stores_in_cluster

_LOOK = 1.0
"""Seconds between two looks whether a build has begun, or a log goes on."""
_SLOW_LOOK = 3.0
"""Seconds between two looks whether a build has a Pod, each of which asks for all of its run."""
_PATIENCE = 600.0
"""Seconds for which who follows a log waits for an API server that does not answer."""


def live_log(
    options: RunPlace, words: str, unit: str, *, follow: bool, waits: bool = False
) -> Iterator[bytes] | None:
    """Return the lines that the build of a unit has written that runs now; None if none does.

    `words` are how the id of its run begins. With `follow` lines come until the build has ended. With
    `waits` the build may begin at any time while somebody drives that run.

    Raises:
        UsageError: the flags name no cluster or no store, or the unit is built for several
            architectures; or, while lines are read, the build has not begun, and `follow` is not set.
        ApiError: the API server cannot be reached, or refuses.

    """
    with ExitStack() as opened:
        runner = opened.enter_context(asyncio.Runner())
        batches = _batches(options, words, unit, follow=follow, waits=waits)
        if runner.run(_next(batches)) is None:
            return None
        return _lines(runner, batches, opened.pop_all())


def driven_run(options: RunPlace, words: str) -> str:
    """Return the id of the newest run that begins so, if somebody drives it; nothing if nobody does.

    Raises:
        UsageError: the flags name no cluster or no store.
        ApiError: the API server cannot be reached, or refuses.

    """
    standings = look_at_run(options, words)
    return standings[0].run if is_driven(standings) else ""


def _lines(
    runner: asyncio.Runner, batches: AsyncIterator[list[bytes]], opened: ExitStack
) -> Iterator[bytes]:
    with opened:
        while (batch := runner.run(_next(batches))) is not None:
            yield from batch


async def _next(batches: AsyncIterator[list[bytes]]) -> list[bytes] | None:
    return await anext(batches, None)


async def _batches(
    options: RunPlace, words: str, unit: str, *, follow: bool, waits: bool
) -> AsyncIterator[list[bytes]]:
    """Yield the lines of the build in batches, after an empty one as soon as its Pod is known."""
    keys = stores_in_cluster(options)
    async with opened_cluster(options, say) as kube:
        while True:
            standings = await read_standings(kube, keys, words)
            latest = {
                one.arch: attempt
                for one in standings
                for attempt in one.attempts
                if attempt.package == unit
            }
            found = {arch: attempt for arch, attempt in latest.items() if attempt.pod}
            if found or not (waits and is_driven(standings)):
                break
            await asyncio.sleep(_SLOW_LOOK)
        if len(found) > 1:
            raise UsageError(
                f"{unit} is built for {' and '.join(found)} now", hint="name one with --arch"
            )
        for arch, attempt in found.items():
            yield []
            path = f"{keys[arch].pods_path}/{attempt.pod}"
            reading = LogReading(kube, path, BUILD, attempt.package)
            async for batch in reading.lines(follow=follow):
                yield batch


class LogReading:
    """The log of one container, read until its end, whatever happens to connections."""

    def __init__(self, kube: Kube, path: str, container: str, name: str) -> None:
        """Take the API's path to a Pod, and what its container builds, in words."""
        self._kube = kube
        self._name = name
        self._path = path
        self._container = container
        self._log = PodLog()
        self._kept = ContainerLog()
        self._told: Trailer | None = None
        """The last line of the build's script, as the Pod's status has it."""

    async def lines(self, *, follow: bool) -> AsyncIterator[list[bytes]]:
        """Yield the lines in batches; with `follow` until the container has ended or its Pod is gone.

        What is known to be missing in the end is said.

        Raises:
            UsageError: the container has not begun, and `follow` is not set.
            ApiError: the API server cannot be reached, or refuses.

        """
        goes_on, pauses = follow, iter(AGAIN)
        while True:
            # Asked first, so that what was written before the end is read.
            goes_on = follow and not await self._has_ended()
            since = self._log.resume()
            try:
                async for batch in self._kube.log(
                    self._path, self._container, since=since, follow=goes_on
                ):
                    fresh = [one for line in batch if (one := self._log.feed(line)) is not None]
                    self._kept.take(fresh)
                    yield fresh
            except ApiError as error:
                if error.status == 400 and not follow:
                    raise UsageError(
                        f"{self._name} is not built yet: its pod gets ready",
                        hint="wait for its log with -f",
                    ) from error
                # Without Pod the store has the log; a build that never began has none.
                is_over = error.status in (400, 404)
                if not is_over and not (goes_on and self._kube.may_heal(error)):
                    raise
            lacks_end = self._told is not None and self._kept.trailer != self._told
            pause = _LOOK if goes_on else next(pauses, None) if lacks_end else None
            if pause is None:
                break
            await asyncio.sleep(pause)
        if lost := describe_loss(self._log, self._kept, self._told):
            say(f"{self._name}: {lost}")

    async def _has_ended(self) -> bool:
        """Wait until the container has begun, and return whether it has ended."""
        while (pod := await self._kube.find(self._path, patience=_PATIENCE)) is not None:
            build = containers(pod).get(self._container, {})
            if has_started(build):
                self._told = counted_log(build)
                return has_ended(build)
            if has_ended(build) or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                return True
            await asyncio.sleep(_LOOK)
        return True
