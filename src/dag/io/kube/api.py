"""Speaks to the Kubernetes API, as far as a build needs it: plain objects over HTTP.

Objects stay the dicts that the API sends, so that what is printed is what is posted. Requests that
may be repeated are repeated. `dag.io.kube.watch` follows what changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from urllib.parse import quote

import httpx2
import msgspec

from dag.core.kube.objects import KubeObject, is_made_of
from dag.core.limits import KUBERNETES_ANSWER, LOG_LINE
from dag.core.lines import LineSplitter
from dag.core.web import may_heal
from dag.io.kube.answers import (
    ApiError,
    check_group,
    check_list,
    check_moved,
    check_object,
    check_page,
    check_version,
    read_answer,
    refusal_of,
    translate_errors,
)
from dag.io.kube.kubeconfig import Cluster
from dag.io.kube.patience import RequestPatience
from dag.io.retries import RetryPolicy
from dag.io.web import read_answer as read_limited_answer

__all__ = ["ApiError", "Kube"]

_RETRIES = RetryPolicy(first=0.25)
_PATCHES = {"apply": "application/apply-patch+yaml", "json": "application/json-patch+json"}
# https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
# A log may be silent for long; asking again from its last line on is how to know that it still comes.
_LOG_SILENCE = 10.0
# Seconds for which a refusal may be that of an API server that has just started and knows nobody yet.
_REFUSAL_PATIENCE = 10.0
_AT_ONCE = 16
"""How many requests are under way at once, besides what is read bit by bit. The pool of connections
looks at each that is idle for every request, and no API server answers thousands at once sooner."""
PATIENCE = 4.0
"""Seconds for which a request is repeated while the server does not answer, if nothing else is said."""


class Kube:
    """One cluster's API.

    `notice` is told, in a sentence, when contact is lost and when it is back. Every request takes
    its `patience`: for how many seconds it is repeated while the server does not answer.
    """

    def __init__(self, cluster: Cluster, notice: Callable[[str], None]) -> None:
        self._http = cluster.http
        self.server = cluster.server
        self._notice = notice
        self._lost: float | None = None
        self._welcome = False
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, *, patience: float = PATIENCE) -> KubeObject:
        """Read one object."""
        return await self._request("GET", path, patience=patience)

    async def find(self, path: str, *, patience: float = PATIENCE) -> KubeObject | None:
        """Read one object; return None if there is none."""
        try:
            return await self.get(path, patience=patience)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def read_list(
        self, path: str, *, patience: float = PATIENCE, **params: str
    ) -> KubeObject:
        """Read a list, with the version that it is of."""
        return await self._request("GET", path, patience=patience, params=params, listed=True)

    async def items(
        self, path: str, *, patience: float = PATIENCE, **params: str
    ) -> Sequence[KubeObject]:
        """Read the objects of a list."""
        objects: Sequence[KubeObject] = (await self.read_list(path, patience=patience, **params))[
            "items"
        ]
        return objects

    async def metadata(self, path: str) -> KubeObject:
        """Read one object's metadata alone: what is secret in the rest stays where it is."""
        return await self._request("GET", path, accept=_METADATA)

    async def create(
        self,
        path: str,
        manifest: KubeObject,
        *,
        label: str,
        dry_run: bool = False,
        patience: float = PATIENCE,
    ) -> KubeObject:
        """Post an object whose name the server makes up, exactly once.

        An answer that got lost may have been a creation: before asking again, what carries `label`
        (`key=value`, unique to this request) is looked for, and adopted if it was made of this very
        manifest, which is sealed.

        Raises:
            ApiError: the server refused it, or what carries the label is a stranger's.

        """
        params = {"dryRun": "All"} if dry_run else {}
        left = RequestPatience(patience)
        for pause in pauses():
            try:
                return await self._once("POST", path, params=params, body=manifest)
            except ApiError as error:
                if not self.may_heal(error):
                    raise
                failed = error
            await asyncio.sleep(left.pause(failed, pause))
            if not dry_run and (found := await self.find_made(path, manifest, label=label)):
                return found
            if left.is_over:
                raise failed
        raise AssertionError

    async def create_named(
        self, path: str, manifest: KubeObject, *, patience: float = PATIENCE
    ) -> KubeObject:
        """Post an object whose name is in its manifest; who creates it twice adopts it.

        Raises:
            ApiError: the server refused it, or what has the name was made of something else.

        """
        try:
            return await self._request("POST", path, patience=patience, body=manifest)
        except ApiError as error:
            if error.status != 409 or error.reason != "AlreadyExists":
                raise
        name = manifest["metadata"]["name"]
        found = await self.get(f"{path}/{name}", patience=patience)
        if not is_made_of(found, manifest):
            raise ApiError(
                f"{manifest['kind'].lower()} {name} is there and was made of something else",
                status=409,
                hint="look at it, delete it, and run this again",
            )
        return found

    async def find_made(
        self, path: str, manifest: KubeObject, *, label: str, patience: float = PATIENCE
    ) -> KubeObject | None:
        """Return the object that was made of a manifest, or None if nothing carries the label.

        Raises:
            ApiError: the server does not answer, or what carries the label is a stranger's.

        """
        found = await self.items(path, patience=patience, labelSelector=label)
        for one in found:
            if is_made_of(one, manifest):
                return {"apiVersion": "v1", "kind": manifest["kind"], **one}
        if found:
            name = f"{manifest['kind'].lower()} {found[0]['metadata'].get('name', '')}"
            raise ApiError(
                f"{name} carries the labels of this run, but was not made by it",
                status=409,
                hint="somebody in this namespace makes what looks like ours; look at it, delete it,"
                " and run this again",
            )
        return None

    async def post(self, path: str, body: KubeObject) -> KubeObject:
        """Post what creates nothing, such as a review, so that it may be repeated."""
        return await self._request("POST", path, body=body)

    async def apply(self, path: str, manifest: KubeObject, *, manager: str) -> KubeObject:
        """Make or change an object so that it has these fields, which are `manager`'s from now on.

        Other fields stay as they are; what this manager had applied before and names no longer goes.
        https://kubernetes.io/docs/reference/using-api/server-side-apply/

        Raises:
            ApiError: refused; with status 409 because somebody else has set one of the fields.

        """
        params = {"fieldManager": manager}
        return await self._request("PATCH", path, params=params, body=manifest, patch="apply")

    async def patch(self, path: str, operations: list[KubeObject]) -> KubeObject:
        """Change an object by a JSON patch, whose first operation must refuse a repetition."""
        return await self._request("PATCH", path, body=operations, patch="json")

    async def delete(
        self,
        path: str,
        *,
        uid: str,
        resource_version: str | None = None,
        dependents: bool = False,
        patience: float = PATIENCE,
    ) -> bool:
        """Delete this very object; return False if it was gone already, or is of another version.

        With `dependents` what it has made goes, too.
        """
        preconditions = {"uid": uid}
        if resource_version is not None:
            preconditions["resourceVersion"] = resource_version
        body: KubeObject = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": preconditions,
        }
        if dependents:
            body["propagationPolicy"] = "Background"
        try:
            await self._request("DELETE", path, patience=patience, body=body)
        except ApiError as error:
            if error.status in (404, 409):
                return False
            raise
        return True

    async def log(
        self,
        pod_path: str,
        container: str,
        *,
        since: datetime | None = None,
        follow: bool = False,
        tail: int | None = None,
    ) -> AsyncGenerator[list[bytes]]:
        """Yield a container's log from `since` on, as batches of lines with timestamps.

        With `tail`, only so many of the last lines come.

        Lines come without their newline, a batch as soon as it is there. When following, a line
        that the stream broke off in is not yielded: the next stream brings it whole.
        """
        params = {"container": container, "timestamps": "true", "follow": str(follow).lower()}
        if since is not None:
            params["sinceTime"] = since.isoformat()
        if tail is not None:
            params["tailLines"] = str(tail)
        splitter = LineSplitter(LOG_LINE)
        async with self.stream(f"{pod_path}/log", params, read=_LOG_SILENCE) as response:
            check_page(self.server, response)
            async for chunk in response.aiter_raw():
                if lines := splitter.feed(chunk):
                    yield lines
        if (rest := splitter.rest()) and not follow:
            yield [rest]

    def proxy_path(self, pod_path: str, port: int, path: str) -> str:
        """Return the API's path to a port of a pod."""
        return f"{pod_path}:{port}/proxy/{quote(path)}"

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], *, read: float | None
    ) -> AsyncIterator[httpx2.Response]:
        """Open an answer that is read bit by bit; `read` is how many seconds it may be silent."""
        timeout = httpx2.Timeout(30, read=read, pool=None)
        with translate_errors(self.server):
            async with self._http.stream("GET", path, params=params, timeout=timeout) as response:
                if response.status_code >= 400:
                    answer = await read_limited_answer(response, KUBERNETES_ANSWER)
                    raise refusal_of(self.server, answer)
                check_moved(self.server, response)
                self._note_contact()
                yield response

    async def download(self, path: str, write: Callable[[bytes], object]) -> None:
        """Read a body of any size, chunk by chunk."""
        async with self.stream(path, {}, read=60) as response:
            async for chunk in response.aiter_raw():
                write(chunk)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        patience: float = PATIENCE,
        params: Mapping[str, str] | None = None,
        body: object = None,
        accept: str = "application/json",
        patch: str | None = None,
        listed: bool = False,
    ) -> KubeObject:
        left, strict = RequestPatience(patience), RequestPatience(min(patience, _REFUSAL_PATIENCE))
        for pause in pauses():
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
                    if strict.is_over:
                        raise
                elif not self.may_heal(error) or left.is_over:
                    raise
                if error.status == 0:
                    self._note_loss(error)
                wait = left.pause(error, pause)
            await asyncio.sleep(wait)
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
        with translate_errors(self.server):
            content = None
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
                content = msgspec.json.encode(body)
            request = self._http.build_request(
                method, path, params=params, content=content, headers=headers
            )
            async with self._at_once:
                sent = await self._http.send(request, stream=True)
                response = await read_limited_answer(sent, KUBERNETES_ANSWER)
        try:
            found = read_answer(self.server, response)
            if listed:
                check_list(self.server, found)
            elif path == "/version":
                check_version(self.server, found)
            elif path.startswith("/apis/") and path.count("/") == 2:
                check_group(self.server, found)
            elif method != "DELETE":  # which may answer with the object, or a Status
                kind = str(body.get("kind")) if isinstance(body, dict) else None
                check_object(self.server, found, kind)
        except ApiError as error:
            if error.status:
                self._note_contact()
            raise
        self._note_contact()
        self._welcome = True
        return found

    def may_heal(self, error: ApiError) -> bool:
        """Return whether the same request may go well later."""
        if error.settles and not self._welcome:
            return False
        return error.status == 0 or may_heal(error.status)

    def _note_loss(self, error: ApiError) -> None:
        if self._lost is None:
            self._lost = time.monotonic()
            self._notice(f"no contact with the API server, trying again: {error.message}")

    def _note_contact(self) -> None:
        if self._lost is not None:
            seconds = time.monotonic() - self._lost
            self._lost = None
            self._notice(f"the API server answers again after {seconds:.0f} s")


def pauses() -> Iterator[float]:
    """Return how many seconds to wait before each next attempt."""
    return _RETRIES.pauses()
