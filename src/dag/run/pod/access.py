"""Asks the API server what this user may do, and for what there is as far as it may be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dag.core.kube.objects import KubeObject, KubeView, events_path, selects_events
from dag.core.pod.identity import CloudIdentity, identity_of
from dag.core.pod.permissions import Permission, grant_commands
from dag.core.pod.waiting import event_time
from dag.core.store.buckets import Bucket
from dag.errors import DagError, InfrastructureError
from dag.io.kube.api import PATIENCE, ApiError, Kube

_AUTHORIZATION = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_AUTHENTICATION = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class Unreadable(DagError):
    """Something may not be looked at, which says nothing about it."""


async def read_object(kube: Kube, path: str, *, secret: bool = False) -> KubeView | None:
    """Read one object, of a secret one the metadata alone; return None if there is none.

    Raises:
        Unreadable: this user may not.
        ApiError: the API server cannot be reached.

    """
    try:
        return await (kube.metadata(path) if secret else kube.get(path))
    except ApiError as error:
        if error.status == 404:
            return None
        if error.status == 403:
            raise Unreadable(error.message, hint=error.hint) from error
        raise


async def read_identity(
    kube: Kube, namespace: str, account: str, *buckets: Bucket | None
) -> CloudIdentity | None:
    """Return the identity that a service account says that it has for buckets; None if it says none.

    Raises:
        UsageError: an annotation has a value that it cannot have.
        ApiError: the API server cannot be reached.

    """
    if not any(buckets):
        return None
    try:
        found = await read_object(kube, f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}")
    except Unreadable:  # then it is as where nothing of it is set up
        return None
    return identity_of(found, *buckets)


async def read_list(kube: Kube, path: str, **params: str) -> Sequence[KubeView] | None:
    """Read a list; return None if this user may not read it.

    Raises:
        ApiError: the API server cannot be reached.

    """
    try:
        return await kube.items(path, patience=PATIENCE, **params)
    except ApiError as error:
        if error.status == 403:
            return None
        raise


async def events_about(kube: Kube, about: KubeView) -> Sequence[KubeObject]:
    """Return the Events about an object, oldest first; none if they may not be read."""
    try:
        found = await kube.items(events_path(about), fieldSelector=selects_events(about))
    except ApiError:
        return ()
    return sorted(found, key=event_time)


async def missing_permissions(
    kube: Kube, namespace: str, permissions: Sequence[Permission]
) -> list[Permission]:
    """Return those of `permissions` that this user does not have in the namespace.

    Raises:
        ApiError: the API server cannot be reached, or does not answer such questions.

    """
    answers = await asyncio.gather(*(_may(kube, namespace, one) for one in permissions))
    return [one for one, allowed in zip(permissions, answers, strict=True) if not allowed]


async def require_permissions(
    kube: Kube, namespace: str, permissions: Sequence[Permission]
) -> None:
    """Refuse to go on if this user has not all of some permissions in a namespace.

    Raises:
        InfrastructureError: it is so; the hint says how who runs the cluster gives them.
        ApiError: the API server cannot be reached, or does not answer such questions.

    """
    if lacking := await missing_permissions(kube, namespace, permissions):
        user = await read_user_name(kube)
        raise InfrastructureError(
            f"no permission in namespace {namespace!r} to {', '.join(map(str, lacking))}",
            hint=f"who runs the cluster allows it with: {grant_commands(permissions, namespace, user)}",
        )


async def read_user_name(kube: Kube) -> str | None:
    """Return the name by which the API server knows this user, or None if it does not tell."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await kube.post(_AUTHENTICATION, review)
    except ApiError:
        return None  # older than Kubernetes 1.28
    return str(answer["status"]["userInfo"]["username"])


async def _may(kube: Kube, namespace: str, permission: Permission) -> bool:
    attributes = {
        "namespace": namespace,
        "verb": permission.verb,
        "group": permission.group,
        "resource": permission.resource,
        "subresource": permission.subresource,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await kube.post(_AUTHORIZATION, review)
    return bool(answer["status"]["allowed"])
