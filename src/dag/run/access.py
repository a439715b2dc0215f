"""Asks the API server what this user may do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dag.core.permissions import Permission
from dag.io.kube import ApiError, Kube

_AUTHORIZATION = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_AUTHENTICATION = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def refused(
    kube: Kube, namespace: str, permissions: Sequence[Permission]
) -> list[Permission]:
    """Give those of `permissions` that this user does not have in the namespace.

    Raises:
        ApiError: the API server cannot be reached, or does not answer such questions.

    """
    answers = await asyncio.gather(*(_may(kube, namespace, one) for one in permissions))
    return [one for one, allowed in zip(permissions, answers, strict=True) if not allowed]


async def user_name(kube: Kube) -> str | None:
    """Give the name by which the API server knows this user; None if it does not tell."""
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
