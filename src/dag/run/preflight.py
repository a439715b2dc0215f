"""What is asked of the cluster before anything is pushed: whether this Pod could run there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dag.core.manifests import SECRET_PROVIDER_CLASS, Manifest
from dag.errors import InfrastructureError
from dag.io.kube import ApiError, Json, Kube
from dag.run.pod import pods_path, selector

_SETUP = "`dag setup cluster --print` shows what to make"


async def check_pod(
    kube: Kube, manifest: Manifest, *, follow: bool, out: bool, warn: Callable[[str], None]
) -> None:
    """Find out whether the cluster would take this Pod; `warn` is told what may yet heal.

    A dry run meets all that a real request meets: the namespace, quotas, Pod Security, the service
    account. What following needs is asked for beside it, and what the Pod mounts.

    Raises:
        ApiError: the API server cannot be reached, or would refuse.
        InfrastructureError: something that the Pod or its watcher needs is not there.

    """
    await check_permissions(kube, manifest["metadata"]["namespace"], needed(follow=follow, out=out))
    await _dry_run(kube, manifest)
    await asyncio.gather(_check_key(kube, manifest), _look_for_nodes(kube, manifest, warn))


def needed(*, follow: bool, out: bool) -> list[tuple[str, str]]:
    """List the permissions that `dag pod` uses, as verb and resource."""
    pairs = [("create", "pods")]
    if follow:
        pairs += [(verb, "pods") for verb in ("get", "list", "watch", "delete")]
        pairs.append(("get", "pods/log"))
    if out:
        pairs.append(("get", "pods/proxy"))
    return pairs


async def check_permissions(kube: Kube, namespace: str, pairs: list[tuple[str, str]]) -> None:
    """Ask for each verb on each resource.

    Raises:
        InfrastructureError: at least one is not allowed; all of these are named.

    """
    answers = await asyncio.gather(*(_may(kube, namespace, *pair) for pair in pairs))
    refused = [" ".join(pair) for pair, allowed in zip(pairs, answers, strict=True) if not allowed]
    if refused:
        raise InfrastructureError(
            f"no permission in namespace {namespace!r} to {', '.join(refused)}",
            hint="ask who runs the cluster for a Role with these verbs",
        )


async def _may(kube: Kube, namespace: str, verb: str, resource: str) -> bool:
    resource, _, subresource = resource.partition("/")
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "resource": resource,
        "subresource": subresource,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = await kube.post(path, review)
    return bool(answer["status"]["allowed"])


async def _dry_run(kube: Kube, manifest: Manifest) -> None:
    try:
        answer = await kube.create(
            pods_path(manifest), manifest, label=selector(manifest), dry_run=True
        )
    except ApiError as error:
        # A webhook that knows no dry run says nothing about the real request.
        if error.status != 400 or "dry run" not in error.message:
            raise
        return
    if _confinement(answer) != _confinement(manifest):
        version = (await kube.get("/version")).get("gitVersion", "?")
        raise InfrastructureError(
            f"this cluster (Kubernetes {version}) has no user namespaces for pods",
            hint="they need Kubernetes 1.33 and nodes with containerd 2.0, runc 1.2 and Linux 6.3;"
            " or say --isolation privileged",
        )


def _confinement(pod: Json) -> tuple[bool, list[str]]:
    """Give what an API server drops that does not know it."""
    contexts = [one.get("securityContext") or {} for one in pod["spec"]["containers"]]
    return (
        pod["spec"].get("hostUsers") is False,
        [context.get("procMount", "Default") for context in contexts],
    )


async def _check_key(kube: Kube, manifest: Manifest) -> None:
    for volume in manifest["spec"]["volumes"]:
        if "csi" in volume:
            driver = volume["csi"]["driver"]
            if not await _exists(kube, f"/apis/storage.k8s.io/v1/csidrivers/{driver}"):
                raise InfrastructureError(
                    f"--secret-key: the cluster has no CSI driver {driver}",
                    hint=f"install it, or name another one with --csi-driver; {_SETUP}",
                )
            namespace = manifest["metadata"]["namespace"]
            classes = (
                f"/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{namespace}/secretproviderclasses"
            )
            if not await _exists(kube, f"{classes}/{SECRET_PROVIDER_CLASS}"):
                raise InfrastructureError(
                    f"--secret-key: namespace {namespace!r} has no SecretProviderClass"
                    f" {SECRET_PROVIDER_CLASS}",
                    hint=_SETUP,
                )


async def _exists(kube: Kube, path: str) -> bool:
    try:
        await kube.get(path)
    except ApiError as error:
        if error.status == 404:
            return False
        if error.status != 403:  # who may not look is told by the pod itself
            raise
    return True


async def _look_for_nodes(kube: Kube, manifest: Manifest, warn: Callable[[str], None]) -> None:
    wanted = ",".join(f"{name}={value}" for name, value in manifest["spec"]["nodeSelector"].items())
    try:
        nodes = await kube.get("/api/v1/nodes", labelSelector=wanted, limit="1")
    except ApiError as error:
        if error.status != 403:
            raise
        return
    if not nodes["items"]:
        warn(f"no node has {wanted} now; a pool that scales from zero may bring one")
