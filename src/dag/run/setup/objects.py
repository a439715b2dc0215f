"""Take and undo the steps of `dag setup` that are Kubernetes objects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from dag.core.kube.objects import KubeObject
from dag.core.pod.status import containers
from dag.core.pod.waiting import event_time, why_waiting
from dag.core.setup.steps import (
    GUEST,
    MANAGER,
    Ensure,
    Extend,
    ProveByPod,
    Publish,
    Tolerate,
    collection_path,
    contains,
    identity,
    is_ours,
    is_ready,
    mark_as_ours,
    name_of,
    object_path,
    patch_adding_toleration,
    patch_removing_toleration,
    tolerates,
)
from dag.errors import InfrastructureError
from dag.io.kube.api import ApiError, Kube
from dag.io.setup.manifests import fetch_manifests

_READY = 300.0
"""Seconds in which an object must become ready: images may have to be pulled."""
_GONE = 300.0
"""Seconds in which a deleted object must be gone: all that is in a namespace goes with it."""
_PAUSE = 0.5

THERE = "there already"
FOREIGN = "somebody else made it, so it stays as it is"
ABSENT = "not there"

ObjectStep = Ensure | Extend | Tolerate | Publish | ProveByPod


class Objects:
    """The objects of one cluster that steps change; `tell` is told why something takes time."""

    def __init__(self, kube: Kube, tell: Callable[[str], None]) -> None:
        self._kube = kube
        self._tell = tell

    async def do(self, step: ObjectStep) -> str:
        """Take a step, and return its outcome in words.

        Raises:
            InfrastructureError: the cluster refused it, or it did not have its effect.

        """
        match step:
            case Ensure():
                return await self._ensure(step)
            case Extend():
                return await self._extend(step)
            case Tolerate():
                return await self._tolerate(step)
            case Publish():
                return await self._publish(step)
            case ProveByPod():
                return await self._prove(step)

    async def undo(self, step: ObjectStep) -> str:
        """Undo what is ours of a step, and return the outcome in words, or none if there is none."""
        match step:
            case Ensure():
                return await self._remove(step.manifest)
            case Extend():
                return await self._withdraw(step)
            case Tolerate():
                return await self._untolerate(step)
            case Publish():
                outcomes = [
                    await self._remove(item) for item in reversed(await fetch_manifests(step.url))
                ]
                return ", ".join(dict.fromkeys(outcomes))
            case ProveByPod():
                outcome = await self._remove(step.pod)
                return "" if outcome == ABSENT else outcome

    async def _ensure(self, step: Ensure) -> str:
        before = await self._get(step.manifest)
        if before is not None and not is_ours(before):
            return FOREIGN
        return await self._apply_and_verify(step.manifest, before, MANAGER)

    async def _extend(self, step: Extend) -> str:
        before = await self._get(step.manifest)
        if before is None:
            raise InfrastructureError(f"there is no {name_of(step.manifest)}")
        return await self._apply_and_verify(step.manifest, before, GUEST)

    async def _apply_and_verify(
        self, manifest: KubeObject, before: KubeObject | None, manager: str
    ) -> str:
        applied = await self._apply(manifest, manager)
        if not contains(await self._get(manifest), manifest):
            raise InfrastructureError(
                f"{name_of(manifest)} was applied, but is different now",
                hint="a webhook or a controller of the cluster may change it",
            )
        await self._until_ready(manifest)
        return _change(before, applied)

    async def _apply(self, manifest: KubeObject, manager: str) -> KubeObject:
        try:
            return await self._kube.apply(object_path(manifest), manifest, manager=manager)
        except ApiError as error:
            if error.status == 409:
                hint: str | None = (
                    "another field manager has set this: change it there, or use another namespace"
                )
            elif error.status == 404 and manifest["kind"] == "SecretProviderClass":
                hint = "the Secrets Store CSI driver is not installed"
            else:
                hint = error.hint
            raise InfrastructureError(f"{name_of(manifest)}: {error.message}", hint=hint) from error

    async def _publish(self, step: Publish) -> str:
        manifests = [mark_as_ours(item) for item in await fetch_manifests(step.url)]
        before = [await self._get(item) for item in manifests]
        if any(found is not None and not is_ours(found) for found in before):
            return FOREIGN
        changes = []
        for manifest, found in zip(manifests, before, strict=True):
            changes.append(_change(found, await self._apply(manifest, MANAGER)))
            await self._until_ready(manifest)
        return ", ".join(dict.fromkeys(changes))

    async def _until_ready(self, manifest: KubeObject) -> None:
        async def is_ready_now() -> bool:
            found = await self._get(manifest)
            return found is not None and is_ready(found)

        if not await _becomes_true(is_ready_now, _READY):
            raise InfrastructureError(
                f"{name_of(manifest)} is not ready after {_READY:.0f} s",
                hint=f"its status at {object_path(manifest)} may tell why",
            )

    async def _tolerate(self, step: Tolerate) -> str:
        manifest = _daemonset(step)
        found = await self._get(manifest)
        if found is None:
            return "there is no such DaemonSet"
        if tolerates(found, step.toleration):
            return THERE
        patched = await self._kube.patch(
            object_path(manifest), patch_adding_toleration(found, step.toleration)
        )
        if not tolerates(patched, step.toleration):
            raise InfrastructureError(
                f"{name_of(manifest)} does not have the toleration that was added"
            )
        return "done"

    async def _untolerate(self, step: Tolerate) -> str:
        manifest = _daemonset(step)
        found = await self._get(manifest)
        patch = patch_removing_toleration(found, step.toleration) if found else None
        if patch is None:
            return ""
        await self._kube.patch(object_path(manifest), patch)
        return "removed"

    async def _withdraw(self, step: Extend) -> str:
        if await self._get(step.manifest) is None:
            return ABSENT
        await self._kube.apply(object_path(step.manifest), identity(step.manifest), manager=GUEST)
        return "removed"

    async def _remove(self, manifest: KubeObject) -> str:
        found = await self._get(manifest)
        if found is None:
            return ABSENT
        if not is_ours(found):
            return FOREIGN
        path, uid = object_path(manifest), found["metadata"]["uid"]
        await self._kube.delete(path, uid=uid)

        async def is_gone() -> bool:
            left = await self._get(manifest)
            return left is None or left["metadata"]["uid"] != uid

        if not await _becomes_true(is_gone, _GONE):
            raise InfrastructureError(f"{name_of(manifest)} is still there after {_GONE:.0f} s")
        return "removed"

    async def _get(self, manifest: KubeObject) -> KubeObject | None:
        try:
            return await self._kube.get(object_path(manifest))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _prove(self, step: ProveByPod) -> str:
        await self._remove(step.pod)
        pod = await self._apply(step.pod, MANAGER)
        said = None
        deadline = time.monotonic() + step.seconds
        while (phase := pod["status"].get("phase")) not in ("Succeeded", "Failed"):
            waiting = why_waiting(pod, await self._events(pod))
            if waiting and waiting.message != said:
                said = waiting.message
                self._tell(said)
            if time.monotonic() > deadline:
                why = said or "it did not start"
                await self._remove(step.pod)
                raise InfrastructureError(
                    f"{step.title}: it did not end within {step.seconds:.0f} s: {why}"
                )
            await asyncio.sleep(_PAUSE)
            pod = await self._kube.get(object_path(step.pod))
        await self._remove(step.pod)
        if phase == "Failed":
            raise InfrastructureError(f"{step.title}: {_last_words(pod)}")
        return "passed"

    async def _events(self, pod: KubeObject) -> list[KubeObject]:
        path = collection_path(pod).removesuffix("pods") + "events"
        about = f"involvedObject.uid={pod['metadata']['uid']}"
        listed = await self._kube.get(path, fieldSelector=about)
        return sorted(listed["items"], key=event_time)


def _change(before: KubeObject | None, after: KubeObject) -> str:
    if before is None:
        return "made"
    same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
    return THERE if same else "changed"


def _daemonset(step: Tolerate) -> KubeObject:
    metadata = {"name": step.name, "namespace": step.namespace}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata}


def _last_words(pod: KubeObject) -> str:
    for container in containers(pod).values():
        ended = container.get("state", {}).get("terminated", {})
        if ended.get("exitCode"):
            return str(ended.get("message") or f"exit code {ended['exitCode']}").strip()
    return str(pod["status"].get("message") or "the pod failed")


async def _becomes_true(condition: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_PAUSE)
    return True
