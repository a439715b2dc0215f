"""Follows what changes in a list of the Kubernetes API, through dropped connections and 410 Gone.

Whenever a watch breaks off, the list is read again, because it alone says what is true then; so an
API server may restart meanwhile, and where no watch works, reading lists is what is left.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass

import httpx2

from dag.core.kube.objects import KubeObject
from dag.core.limits import WATCH_EVENT
from dag.core.lines import LineSplitter
from dag.io.kube.answers import ApiError, check_page, read_event, version_of
from dag.io.kube.api import PATIENCE, Kube, pauses

# A watch is asked to end after so many seconds. The server marks its place about once a minute: one
# that is silent for longer is dead, or of a server that does not; then reading the list costs little.
_WATCH_SECONDS = 240
_WATCH_SILENCE = 90.0
# One that a busy server puts off is not asked for sooner than it says, up to so many seconds.
_WATCH_ASKED = 30.0
# One that ends sooner and brought nothing is cut off by something: asking at once would be a flood.
_WATCH_SHORT = 5.0


@dataclass(frozen=True, slots=True)
class ObjectSeen:
    """An object that is new or has changed."""

    item: KubeObject


@dataclass(frozen=True, slots=True)
class ObjectGone:
    """An object that is no longer there, in its last known state."""

    item: KubeObject


@dataclass(frozen=True, slots=True)
class Listed:
    """The list was read, and all that had changed was told."""


@dataclass(frozen=True, slots=True)
class WatchStopped:
    """What was told may be old until `Listed` comes."""


Change = ObjectSeen | ObjectGone | Listed | WatchStopped


async def watch_objects(
    kube: Kube,
    path: str,
    *,
    known: Iterable[KubeObject] = (),
    patience: float = PATIENCE,
    **selectors: str,
) -> AsyncIterator[Change]:
    """Yield what changes below `path` for ever, starting with the objects that exist.

    Those that are `known` already are told if they have changed or are gone.

    Raises:
        ApiError: the list may not be read, or not within `patience` seconds.

    """
    last = {item["metadata"]["uid"]: item for item in known}
    waits = pauses()
    while True:
        began, fruitful, asked = time.monotonic(), False, 0.0
        listed = await kube.read_list(path, patience=patience, **selectors)
        now = {item["metadata"]["uid"]: item for item in listed["items"]}
        for change in _differences(last, now):
            fruitful = True
            yield change
        yield Listed()
        last = now
        try:
            async for change in _watch_from(kube, path, version_of(listed), selectors):
                fruitful = True
                last[change.item["metadata"]["uid"]] = change.item
                if isinstance(change, ObjectGone):
                    del last[change.item["metadata"]["uid"]]
                yield change
        except ApiError as error:
            if error.status not in (401, 403, 410) and not kube.may_heal(error):
                raise
            asked = min(error.retry_after or 0.0, _WATCH_ASKED)
        yield WatchStopped()
        if fruitful or time.monotonic() - began >= _WATCH_SHORT:
            waits = pauses()
        await asyncio.sleep(max(next(waits), asked))


async def _watch_from(
    kube: Kube, path: str, since: str, selectors: Mapping[str, str]
) -> AsyncIterator[ObjectSeen | ObjectGone]:
    """Yield what changes from a version on, until a watch breaks off or ends at once."""
    while True:
        began = time.monotonic()
        params = {
            **selectors,
            "watch": "true",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        async with kube.stream(path, params, read=_WATCH_SILENCE) as response:
            check_page(kube.server, response)
            async for line in _lines_of(response):
                kind, item = read_event(kube.server, line)
                since = version_of(item)
                if kind == "DELETED":
                    yield ObjectGone(item)
                elif kind != "BOOKMARK":
                    yield ObjectSeen(item)
        if time.monotonic() - began < _WATCH_SHORT:
            return


async def _lines_of(response: httpx2.Response) -> AsyncIterator[bytes]:
    # A line that is over the limit comes in pieces, and none of them is an event.
    splitter = LineSplitter(WATCH_EVENT)
    async for chunk in response.aiter_bytes():
        for line in splitter.feed(chunk):
            yield line
    if rest := splitter.rest():
        yield rest


def _differences(
    last: Mapping[str, KubeObject], now: Mapping[str, KubeObject]
) -> Iterator[ObjectSeen | ObjectGone]:
    for uid in last.keys() - now.keys():
        yield ObjectGone(last[uid])
    for uid, item in now.items():
        if uid not in last or version_of(last[uid]) != version_of(item):
            yield ObjectSeen(item)
