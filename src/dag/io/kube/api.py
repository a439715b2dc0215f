"""The Kubernetes API, as much of it as a build needs: plain objects over HTTP.

Objects stay the dicts that the API sends, so that what is printed is what is posted. Requests that
may be repeated are; a watch survives dropped connections, 410 Gone and an API server that restarts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from urllib.parse import quote

import httpx2

from dag.core.kube.objects import KubeObject
from dag.core.limits import LOG_LINE
from dag.core.lines import LineSplitter
from dag.core.web import may_heal
from dag.io.kube.answers import (
    ApiError,
    answer,
    check_list,
    check_moved,
    check_object,
    check_page,
    check_version,
    event,
    refusal,
    translated,
    version,
)
from dag.io.kube.kubeconfig import Cluster

__all__ = ["ApiError", "Kube"]

_LONGEST_PAUSE = 8.0
_PATCHES = {"apply": "application/apply-patch+yaml", "json": "application/json-patch+json"}
# https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
# A watch is asked to end after so many seconds. The server marks its place about once a minute: one
# that is silent for longer is dead, or of a server that does not; then reading the list costs little.
_WATCH_SECONDS = 240
_WATCH_SILENCE = 90.0
# One that ends sooner and brought nothing is cut off by something: asking at once would be a flood.
_WATCH_SHORT = 5.0
# A log may be silent for long; asking again from its last line on is how to know that it still comes.
_LOG_SILENCE = 10.0
# Seconds for which a refusal may be that of an API server that has just started and knows nobody yet.
_REFUSAL_PATIENCE = 10.0


class Kube:
    """One cluster's API.

    `patience` is for how many seconds a request is repeated while the server does not answer;
    `notice` is told, in a sentence, when contact is lost and when it is back.
    """

    def __init__(self, cluster: Cluster, notice: Callable[[str], None]) -> None:
        self._http = cluster.http
        self.server = cluster.server
        self.patience = 4.0
        self._notice = notice
        self._lost: float | None = None
        self._welcome = False

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, **params: str) -> KubeObject:
        """Read one object or list; what is chosen by parameters is a list."""
        return await self._repeated("GET", path, params=params, listed=bool(params))

    async def items(self, path: str, **params: str) -> Sequence[KubeObject]:
        """Read the objects of a list."""
        found = await self._repeated("GET", path, params=params, listed=True)
        objects: Sequence[KubeObject] = found["items"]
        return objects

    async def metadata(self, path: str) -> KubeObject:
        """Read one object's metadata alone: what is secret in the rest stays where it is."""
        return await self._repeated("GET", path, accept=_METADATA)

    async def create(
        self, path: str, manifest: KubeObject, *, label: str, dry_run: bool = False
    ) -> KubeObject:
        """Post an object whose name the server makes up, exactly once.

        An answer that got lost may have been a creation: before asking again, what carries `label`
        (`key=value`, unique to this request) is looked for and adopted.
        """
        params = {"dryRun": "All"} if dry_run else {}
        deadline = time.monotonic() + self.patience
        for pause in _pauses():
            try:
                return await self._once("POST", path, params=params, body=manifest)
            except ApiError as error:
                if not self._may_heal(error):
                    raise
                failed = error
            await asyncio.sleep(pause)
            if not dry_run and (found := (await self.get(path, labelSelector=label))["items"]):
                return {"apiVersion": "v1", "kind": manifest["kind"], **found[0]}
            if time.monotonic() > deadline:
                raise failed
        raise AssertionError

    async def post(self, path: str, body: KubeObject) -> KubeObject:
        """Post what creates nothing, such as a review, so that it may be repeated."""
        return await self._repeated("POST", path, body=body)

    async def apply(self, path: str, manifest: KubeObject, *, manager: str) -> KubeObject:
        """Have an object with these fields, which are `manager`'s from now on.

        Other fields stay as they are; what this manager had applied before and names no longer goes.
        https://kubernetes.io/docs/reference/using-api/server-side-apply/

        Raises:
            ApiError: refused; with status 409 because somebody else has set one of the fields.

        """
        params = {"fieldManager": manager}
        return await self._repeated("PATCH", path, params=params, body=manifest, patch="apply")

    async def patch(self, path: str, operations: list[KubeObject]) -> KubeObject:
        """Change an object by a JSON patch, whose first operation must refuse a repetition."""
        return await self._repeated("PATCH", path, body=operations, patch="json")

    async def delete(self, path: str, *, uid: str) -> bool:
        """Delete this very object; False if it was gone already."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        try:
            await self._repeated("DELETE", path, body=body)
        except ApiError as error:
            if error.status in (404, 409):
                return False
            raise
        return True

    async def watch(self, path: str, **selectors: str) -> AsyncIterator[tuple[str, KubeObject]]:
        """Yield ADDED, MODIFIED and DELETED objects for ever, starting with those that exist.

        After an interruption the list is read again: what changed meanwhile comes as MODIFIED,
        what vanished as DELETED with its last known state.
        """
        known: dict[str, KubeObject] = {}
        pauses = _pauses()
        while True:
            began, fruitful = time.monotonic(), False
            listed = await self._repeated("GET", path, params=selectors, listed=True)
            now = {item["metadata"]["uid"]: item for item in listed["items"]}
            for change in _difference(known, now):
                fruitful = True
                yield change
            known = now
            try:
                async for kind, item in self._watch_from(path, version(listed), selectors):
                    fruitful = True
                    known[item["metadata"]["uid"]] = item
                    if kind == "DELETED":
                        del known[item["metadata"]["uid"]]
                    yield kind, item
            except ApiError as error:
                if error.status not in (401, 403, 410) and not self._may_heal(error):
                    raise
            # However the watch ended, the list says what is true now; the server may be gone, and
            # listing is what is repeated with patience. Where no watch works, it is what is left.
            if fruitful or time.monotonic() - began >= _WATCH_SHORT:
                pauses = _pauses()
            await asyncio.sleep(next(pauses))

    async def _watch_from(
        self, path: str, since: str, selectors: Mapping[str, str]
    ) -> AsyncIterator[tuple[str, KubeObject]]:
        while True:
            began = time.monotonic()
            async for kind, item in self._watch_once(path, since, selectors):
                since = version(item)
                if kind != "BOOKMARK":
                    yield kind, item
            if time.monotonic() - began < _WATCH_SHORT:
                return

    async def _watch_once(
        self, path: str, since: str, selectors: Mapping[str, str]
    ) -> AsyncIterator[tuple[str, KubeObject]]:
        params = {
            **selectors,
            "watch": "true",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        async with self._stream(path, params, read=_WATCH_SILENCE) as response:
            check_page(self.server, response)
            async for line in response.aiter_lines():
                yield event(self.server, line)

    async def log(
        self, pod_path: str, container: str, *, since: datetime | None, follow: bool
    ) -> AsyncGenerator[list[bytes]]:
        """Yield a container's log from `since` on, as batches of lines with timestamps.

        Lines come without their newline, a batch as soon as it is there. When following, a line
        that the stream broke off in is not yielded: the next stream brings it whole.
        """
        params = {"container": container, "timestamps": "true", "follow": str(follow).lower()}
        if since is not None:
            params["sinceTime"] = since.isoformat()
        splitter = LineSplitter(LOG_LINE)
        async with self._stream(f"{pod_path}/log", params, read=_LOG_SILENCE) as response:
            check_page(self.server, response)
            async for chunk in response.aiter_raw():
                if lines := splitter.feed(chunk):
                    yield lines
        if (rest := splitter.rest()) and not follow:
            yield [rest]

    def proxied(self, pod_path: str, port: int, path: str) -> str:
        """Give the API's path to a port of a pod."""
        return f"{pod_path}:{port}/proxy/{quote(path)}"

    @asynccontextmanager
    async def _stream(
        self, path: str, params: Mapping[str, str], *, read: float | None
    ) -> AsyncIterator[httpx2.Response]:
        timeout = httpx2.Timeout(30, read=read, pool=None)
        with translated(self.server):
            async with self._http.stream("GET", path, params=params, timeout=timeout) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise refusal(response)
                check_moved(self.server, response)
                self._found()
                yield response

    async def download(self, path: str, write: Callable[[bytes], object]) -> None:
        """Read a body of any size, chunk by chunk."""
        async with self._stream(path, {}, read=60) as response:
            async for chunk in response.aiter_raw():
                write(chunk)

    async def _repeated(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        accept: str = "application/json",
        patch: str | None = None,
        listed: bool = False,
    ) -> KubeObject:
        now = time.monotonic()
        deadline = now + self.patience
        for pause in _pauses():
            try:
                return await self._once(
                    method,
                    path,
                    params=params,
                    body=body,
                    accept=accept,
                    patch=patch,
                    listed=listed,
                )
            except ApiError as error:
                if error.status in (401, 403) and self._welcome:
                    if time.monotonic() > now + min(self.patience, _REFUSAL_PATIENCE):
                        raise
                elif not self._may_heal(error) or time.monotonic() > deadline:
                    raise
                if error.status == 0:
                    self._missed(error)
            await asyncio.sleep(pause)
        raise AssertionError

    async def _once(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        body: object,
        accept: str = "application/json",
        patch: str | None = None,
        listed: bool = False,
    ) -> KubeObject:
        headers = {"Accept": accept}
        if patch:
            headers["Content-Type"] = _PATCHES[patch]
        with translated(self.server):
            response = await self._http.request(
                method, path, params=params, json=body, headers=headers
            )
        try:
            found = answer(self.server, response)
            if listed:
                check_list(self.server, found)
            elif path == "/version":
                check_version(self.server, found)
            elif method != "DELETE":  # which may answer with the object, or a Status
                kind = str(body.get("kind")) if isinstance(body, dict) else None
                check_object(self.server, found, kind)
        except ApiError as error:
            if error.status:
                self._found()
            raise
        self._found()
        self._welcome = True
        return found

    def _may_heal(self, error: ApiError) -> bool:
        if error.settles and not self._welcome:
            return False
        return error.status == 0 or may_heal(error.status)

    def _missed(self, error: ApiError) -> None:
        if self._lost is None:
            self._lost = time.monotonic()
            self._notice(f"no contact with the API server, trying again: {error.message}")

    def _found(self) -> None:
        if self._lost is not None:
            seconds = time.monotonic() - self._lost
            self._lost = None
            self._notice(f"the API server answers again after {seconds:.0f} s")


def _difference(
    known: Mapping[str, KubeObject], now: Mapping[str, KubeObject]
) -> Iterator[tuple[str, KubeObject]]:
    for uid in known.keys() - now.keys():
        yield "DELETED", known[uid]
    for uid, item in now.items():
        if uid not in known:
            yield "ADDED", item
        elif version(known[uid]) != version(item):
            yield "MODIFIED", item


def _pauses() -> Iterator[float]:
    pause = 0.25
    while True:
        yield pause * random.uniform(0.75, 1.25)  # noqa: S311  # spreads clients, hides nothing
        pause = min(pause * 2, _LONGEST_PAUSE)
