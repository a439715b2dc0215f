"""Asks the cluster, before anything is pushed or created, whether units could be built there.

`dag build` stops at the first thing that is wrong; `dag doctor --on kubernetes` tells all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

from dag.core.doctor import checks as doctor
from dag.core.doctor import jobchecks
from dag.core.doctor.checks import Finding, Status
from dag.core.jobs.claims import Claim
from dag.core.jobs.driver import DRIVER_ACCOUNT
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.permissions import permissions_for_jobs
from dag.errors import InfrastructureError, UsageError
from dag.run.jobs.queues import read_queue, read_version
from dag.run.pod.access import missing_permissions, read_object, read_user_name
from dag.run.pod.examination import Check, examine
from dag.run.pod.place import PlaceChecks

ACCOUNT_CHECK = "driver account"
"""The check that no pod of a build waits for."""
QUEUE_CHECK = "queue"


class JobChecks:
    """The checks for Jobs of these settings that the API server alone can answer."""

    def __init__(
        self,
        place: PlaceChecks,
        settings: JobSettings,
        *,
        out: bool = False,
        detach: bool = False,
    ) -> None:
        self._place = place
        self._out = out
        self._detach = detach
        self._settings = settings

    def all(self) -> Iterator[Check]:
        """Yield the checks."""
        place, settings = self._place, self._settings
        store, secret = settings.store, settings.bucket_secret
        bucket = None if isinstance(store, Claim) else store
        yield Check("api", (), place.contact)
        yield Check("permissions", ("api",), self._permissions)
        yield Check("namespace", ("api",), place.namespace)
        security = partial(place.pod_security, settings.sdk_image, confined=settings.confined)
        yield Check("pod security", ("namespace",), security)
        account = partial(place.service_account, bucket, secret=secret is not None)
        yield Check("service account", ("namespace",), account)
        if self._detach:
            yield Check(ACCOUNT_CHECK, ("namespace",), self._driver_account)
        if settings.confined:
            yield Check("user namespaces", ("api",), self._user_namespaces)
        if isinstance(store, Claim):
            yield Check("claim", ("namespace",), partial(self._claim, store))
        if secret is not None:
            yield Check("bucket secret", ("namespace",), partial(place.bucket_secret, secret))
        if settings.queue is not None:
            yield Check(QUEUE_CHECK, ("namespace",), partial(self._queue, settings.queue))

    async def _permissions(self) -> Finding:
        kube, namespace = self._place.kube, self._place.name
        claim = isinstance(self._settings.store, Claim)
        needed = permissions_for_jobs(claim=claim, out=self._out)
        lacking, user = await asyncio.gather(
            missing_permissions(kube, namespace, needed), read_user_name(kube)
        )
        return doctor.permissions(namespace, needed, lacking, user)

    async def _user_namespaces(self) -> Finding:
        return jobchecks.user_namespaces(self._place.version)

    async def _driver_account(self) -> Finding:
        path = f"/api/v1/namespaces/{self._place.name}/serviceaccounts/{DRIVER_ACCOUNT}"
        found = await read_object(self._place.kube, path)
        return jobchecks.driver_account(self._place.name, found)

    async def _claim(self, store: Claim) -> Finding:
        namespace = self._place.name
        path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{store.name}"
        found = await read_object(self._place.kube, path)
        return jobchecks.claim(store, namespace, found, confined=self._settings.confined)

    async def _queue(self, name: str) -> Finding:
        kube, namespace = self._place.kube, self._place.name
        version = await read_version(kube)
        if version is None:
            return jobchecks.wrong_request(
                "the cluster has no Kueue, so nothing would let Jobs go that wait in a queue",
                "leave --queue out, or install Kueue: https://kueue.sigs.k8s.io/docs/installation",
            )
        found = await read_queue(kube, version, namespace, name)
        return jobchecks.queue(name, namespace, found)


async def check_cluster(
    place: PlaceChecks,
    settings: JobSettings,
    tell: Callable[[str], None],
    *,
    out: bool,
    detach: bool,
) -> None:
    """Find out whether a cluster takes the Jobs of these settings.

    `tell` is told of a queue in which Jobs may wait for long. `out` is whether packages are fetched, and
    `detach` whether a Job is to drive the build.

    Raises:
        UsageError: something that was asked for is wrong, such as a claim that cannot be a store.
        InfrastructureError: the cluster cannot be reached, is too old, or lacks or refuses something.

    """
    try:
        found = await examine([*JobChecks(place, settings, out=out, detach=detach).all()])
    finally:
        await place.close()
    for finding in found.values():
        require(finding)
    if (queue := found.get(QUEUE_CHECK)) is not None and queue.status is Status.WARNING:
        tell(f"{queue.message} ({queue.fix})")


def require(finding: Finding) -> None:
    """Raise the error for what a build cannot go on with.

    Raises:
        UsageError: what was asked for is wrong.
        InfrastructureError: something else is.

    """
    if finding.status is Status.FAILED:
        kind = UsageError if finding.usage else InfrastructureError
        raise kind(finding.message, hint=finding.fix)
