"""Take and undo the steps of `dag setup` that are Kubernetes objects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from dag.core.kube.objects import KubeObject
from dag.core.pod.lastwords import LastWords, read_last_words
from dag.core.pod.status import containers
from dag.core.pod.waiting import why_waiting
from dag.core.setup.forbidding import FORBIDDEN, REVIEWS, access_review, forbidden_words
from dag.core.setup.steps import (
    FOREIGN_TRUST,
    GUEST,
    MANAGER,
    OTHERS_TRUSTED,
    Ensure,
    Extend,
    Forbid,
    KeepFiles,
    KeepTrust,
    Look,
    ObjectStep,
    ProveByPod,
    Publish,
    Removal,
    Tolerate,
    contains,
    identity,
    is_extended,
    is_ours,
    is_ready,
    mark_as_ours,
    name_of,
    object_path,
    removal_words,
    was_made_by,
    with_uid,
)
from dag.core.setup.tolerating import (
    patch_adding_toleration,
    patch_removing_toleration,
    tolerates,
)
from dag.core.visible import visible_line
from dag.errors import InfrastructureError
from dag.io.kube.api import ApiError, Kube
from dag.report.words import some
from dag.run.pod.access import events_about
from dag.run.setup.contents import fetch_published, with_files

_READY = 300.0
"""Seconds in which an object must become ready: images may have to be pulled."""
_GONE = 300.0
"""Seconds in which a deleted object must be gone: all that is in a namespace goes with it."""
_PAUSE = 0.5

THERE = "there already"
FOREIGN = "somebody else made it, so it stays as it is"
ABSENT = "not there"
NOTHING_ADDED = "nothing was added to it"


class ClusterObjects:
    """The objects of one cluster that steps change; `tell` is told why something takes time."""

    def __init__(self, kube: Kube, tell: Callable[[str], None]) -> None:
        self._kube = kube
        self._tell = tell

    async def do(self, step: ObjectStep | Forbid) -> str:
        """Take a step, and return its outcome in words.

        Raises:
            InfrastructureError: the cluster refused it, or it did not have its effect.

        """
        match step:
            case Ensure():
                return await self._ensure(step)
            case KeepTrust():
                return await self._keep_trust(step)
            case Extend():
                return await self._extend(step)
            case Tolerate():
                return await self._tolerate(step)
            case Publish():
                return await self._publish(step)
            case ProveByPod():
                return await self._prove(step)
            case KeepFiles():
                return await self._ensure(Ensure(title=step.title, manifest=with_files(step)))
            case Forbid():
                return await self._require_forbidden(step)

    async def look(self, step: ObjectStep) -> Look:
        """Return what is ours of a step, and change nothing.

        Raises:
            InfrastructureError: the cluster does not tell.

        """
        match step:
            case Ensure() | KeepTrust() | KeepFiles():
                return await self._look_at(step, step.manifest)
            case Extend():
                found = await self._get(step.manifest)
                if found is None or not is_extended(found):
                    return Look(outcome=ABSENT if found is None else NOTHING_ADDED)
                what = f"what `dag setup` added to {name_of(step.manifest)}"
                manifest = with_uid(identity(step.manifest), found)
                return Look(removals=[Removal(what=what, step=step, manifest=manifest)])
            case Tolerate():
                manifest = _daemonset(step)
                found = await self._get(manifest)
                if found is None or patch_removing_toleration(found, step.toleration) is None:
                    return Look()
                what = f"the toleration that `dag setup` added to {name_of(manifest)}"
                return Look(removals=[Removal(what=what, step=step)])
            case Publish():
                return await self._look_at(step, *reversed(await fetch_published(step.url)))
            case ProveByPod():
                look = await self._look_at(step, step.pod)
                return Look() if look.outcome == ABSENT else look

    async def _look_at(self, step: ObjectStep, *manifests: KubeObject) -> Look:
        removals, outcomes = [], []
        for manifest in manifests:
            found = await self._get(manifest)
            if found is None:
                outcomes.append(ABSENT)
            elif not is_ours(found):
                outcomes.append(FOREIGN)
            else:
                seen = with_uid(identity(manifest), found)
                removals.append(Removal(what=removal_words(manifest), step=step, manifest=seen))
        return Look(removals=removals, outcome=", ".join(dict.fromkeys(outcomes)))

    async def remove(self, removal: Removal) -> str:
        """Remove what a look has found to be ours, if it still is, and return the outcome in words.

        Raises:
            InfrastructureError: the cluster refused it, or it did not have its effect.

        """
        match removal.step:
            case Extend():
                return await self._withdraw(removal.manifest)
            case Tolerate():
                return await self._untolerate(removal.step)
            case _:
                return await self._delete(removal.manifest)

    async def _require_forbidden(self, step: Forbid) -> str:
        """Ask the cluster what somebody may do in a namespace, and end if that is too much."""
        for one in FORBIDDEN:
            if (await self._kube.post(REVIEWS, access_review(step, *one)))["status"]["allowed"]:
                raise InfrastructureError(forbidden_words(step, *one))
        return "so it is"

    async def _ensure(self, step: Ensure) -> str:
        before = await self._get(step.manifest)
        outcome = FOREIGN
        if before is None or is_ours(before):
            outcome = await self._apply_and_verify(step.manifest, before, MANAGER)
        if outcome == FOREIGN and step.unless_foreign:
            raise InfrastructureError(
                f"{name_of(step.manifest)} is there already, and dag setup has not made it",
                hint=step.unless_foreign,
            )
        return outcome

    async def _keep_trust(self, step: KeepTrust) -> str:
        wanted: dict[str, str] = step.manifest["data"]
        before = await self._get(step.manifest)
        there: dict[str, str] = (before or {}).get("data") or {}
        data = wanted if step.replaces else {**there, **wanted}
        outcome = await self._ensure(
            Ensure(
                title=step.title,
                manifest={**step.manifest, "data": data},
                unless_foreign=FOREIGN_TRUST,
            )
        )
        trusted: dict[str, str] = (await self._kube.get(object_path(step.manifest)))["data"]
        if more := sorted(trusted.keys() - data.keys()):
            raise InfrastructureError(
                f"{name_of(step.manifest)} still has {some(more)}, which somebody else has put there",
                hint=FOREIGN_TRUST,
            )
        for name in sorted(trusted):
            self._tell(
                f"it trusts the engine {visible_line(name)}{'' if name in wanted else ', as before'}"
            )
        if trusted.keys() - wanted.keys():
            self._tell(OTHERS_TRUSTED)
        return outcome

    async def _extend(self, step: Extend) -> str:
        before = await self._get(step.manifest)
        if before is None:
            raise InfrastructureError(f"there is no {name_of(step.manifest)}")
        return await self._apply_and_verify(step.manifest, before, GUEST)

    async def _apply_and_verify(
        self, manifest: KubeObject, before: KubeObject | None, manager: str
    ) -> str:
        applied = await self._apply(manifest, manager, before)
        if before is None and not was_made_by(applied, manager):
            # Somebody has made it since we looked: it must not keep our mark.
            await self._withdraw(with_uid(identity(manifest), applied), manager)
            return FOREIGN
        if not contains(await self._get(manifest), manifest):
            raise InfrastructureError(
                f"{name_of(manifest)} was applied, but is different now",
                hint="a webhook or a controller of the cluster may change it",
            )
        await self._until_ready(manifest)
        return _change(before, applied)

    async def _apply(
        self, manifest: KubeObject, manager: str, before: KubeObject | None
    ) -> KubeObject:
        body = manifest if before is None else with_uid(manifest, before)
        try:
            return await self._kube.apply(object_path(manifest), body, manager=manager)
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
        manifests = [mark_as_ours(item) for item in await fetch_published(step.url)]
        before = [await self._get(item) for item in manifests]
        if any(found is not None and not is_ours(found) for found in before):
            return FOREIGN
        changes = []
        for manifest, found in zip(manifests, before, strict=True):
            changes.append(_change(found, await self._apply(manifest, MANAGER, found)))
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

    async def _withdraw(self, seen: KubeObject, manager: str = GUEST) -> str:
        try:
            await self._kube.apply(object_path(seen), seen, manager=manager)
        except ApiError as error:
            if error.status == 409:  # there is none of this UID, and none is made
                return ABSENT
            raise
        return "removed"

    async def _remove_pod(self, step: ProveByPod) -> str:
        look = await self._look_at(step, step.pod)
        return await self._delete(look.removals[0].manifest) if look.removals else look.outcome

    async def _delete(self, seen: KubeObject) -> str:
        path, uid = object_path(seen), seen["metadata"]["uid"]
        deleted = False
        deadline = time.monotonic() + _GONE
        while not deleted:
            # The server refuses if anything has changed since this look, such as our mark.
            found = await self._get(seen)
            if found is None or found["metadata"]["uid"] != uid:
                return ABSENT
            if not is_ours(found):
                return FOREIGN
            if time.monotonic() > deadline:
                raise InfrastructureError(f"{name_of(seen)} changes faster than it can be deleted")
            version = found["metadata"]["resourceVersion"]
            deleted = await self._kube.delete(path, uid=uid, resource_version=version)
        return await self._until_gone(seen, uid)

    async def _until_gone(self, manifest: KubeObject, uid: str) -> str:
        async def is_gone() -> bool:
            left = await self._get(manifest)
            return left is None or left["metadata"]["uid"] != uid

        if not await _becomes_true(is_gone, _GONE):
            raise InfrastructureError(f"{name_of(manifest)} is still there after {_GONE:.0f} s")
        return "removed"

    async def _get(self, manifest: KubeObject) -> KubeObject | None:
        return await self._kube.find(object_path(manifest))

    async def _prove(self, step: ProveByPod) -> str:
        if await self._remove_pod(step) == FOREIGN:
            raise InfrastructureError(
                f"{name_of(step.pod)} is somebody else's",
                hint="delete it if nobody needs it; the test makes one of that name",
            )
        pod = await self._apply(step.pod, MANAGER, None)
        said = None
        deadline = time.monotonic() + step.seconds
        while (phase := pod["status"].get("phase")) not in ("Succeeded", "Failed"):
            waiting = why_waiting(pod, await events_about(self._kube, pod))
            if waiting and waiting.message != said:
                said = waiting.message
                self._tell(said)
            if time.monotonic() > deadline:
                why = said or "it did not start"
                await self._remove_pod(step)
                raise InfrastructureError(
                    f"{step.title}: it did not end within {step.seconds:.0f} s: {why}"
                )
            await asyncio.sleep(_PAUSE)
            pod = await self._kube.get(object_path(step.pod))
        await self._remove_pod(step)
        if phase == "Failed":
            words = _last_words(pod)
            raise InfrastructureError(f"{step.title}: {words.message}", hint=words.hint)
        return "passed"


def _change(before: KubeObject | None, after: KubeObject) -> str:
    if before is None:
        return "made"
    same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
    return THERE if same else "changed"


def _daemonset(step: Tolerate) -> KubeObject:
    metadata = {"name": step.name, "namespace": step.namespace}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata}


def _last_words(pod: KubeObject) -> LastWords:
    for container in containers(pod).values():
        ended = container.get("state", {}).get("terminated", {})
        if ended.get("exitCode"):
            return read_last_words(ended) or LastWords(f"exit code {ended['exitCode']}")
    return LastWords(str(pod["status"].get("message") or "the pod failed"))


async def _becomes_true(condition: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_PAUSE)
    return True
