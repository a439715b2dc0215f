"""The Job that drives a detached run, and the account that its Pods have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from dag.core.jobs.ending import has_job_ended
from dag.core.jobs.manifest import AGENT_STATE, JobSettings, job_of
from dag.core.jobs.names import StoreInCluster
from dag.core.kube.containers import container_words
from dag.core.kube.objects import KubeObject, KubeView
from dag.core.pod.manifest import RUN_LABEL
from dag.core.pod.pieces import agent_security, resource_requests

DRIVER = "driver"
"""The container that drives."""
DRIVER_ACCOUNT = "dag-driver"
"""The service account whose role allows what a driver does; `dag setup cluster` makes it."""
DRIVER_LABEL = "dag/driver"
"""A hash of what a driver was asked for."""
_BACKOFF = 12
"""How often another Pod is made in the place of one that failed; pauses become six minutes long."""


def driver_name(run: str, store: StoreInCluster) -> str:
    """Return the name of the Job that drives a run: there is one, however often it is made."""
    digest = hashlib.sha256(f"{run}\0{store.store}".encode()).hexdigest()
    return f"dag-driver-{run}-{digest[:8]}"


def driver_job(settings: JobSettings, words: Iterable[str], mark: str) -> KubeObject:
    """Return the manifest of the Job that drives a run, given the words of a `Handover`.

    Its Pods run as an account of their own, because builds must not have what that may do. One that
    is lost has a successor at once: the Lease tells them apart.
    """
    container: KubeObject = {
        "name": DRIVER,
        "image": settings.bundle,
        "securityContext": agent_security(),
        "resources": resource_requests(cpu="100m", memory="512Mi", disk="256Mi"),
        "env": [
            {"name": "HOME", "value": AGENT_STATE},
            {"name": "XDG_CACHE_HOME", "value": f"{AGENT_STATE}/cache"},
            {"name": "TMPDIR", "value": AGENT_STATE},
            *settings.proxies,
        ],
        "args": container_words(["drive", *words]),
        "volumeMounts": [{"name": "agent", "mountPath": AGENT_STATE}],
    }
    spec: KubeObject = {
        "serviceAccountName": DRIVER_ACCOUNT,
        "automountServiceAccountToken": True,
        "containers": [container],
        "volumes": [{"name": "agent", "emptyDir": {}}],
    }
    return job_of(
        replace(settings, identity=None),  # that is of agents, which reach the store
        driver_name(settings.run, settings.key),
        spec,
        {},
        marks={DRIVER_LABEL: mark[:32]},
        ends={"backoffLimit": _BACKOFF, "podReplacementPolicy": "TerminatingOrFailed"},
    )


def is_driver(job: KubeView) -> bool:
    """Return whether a Job drives a run."""
    marks = job["metadata"].get("labels") or {}
    return bool(marks.get(DRIVER_LABEL)) and bool(marks.get(RUN_LABEL))


def is_driver_for(job: KubeView, mark: str) -> bool:
    """Return whether a Job drives a run that is just what `mark` stands for, and has not ended."""
    return job["metadata"]["labels"].get(DRIVER_LABEL) == mark[:32] and not has_job_ended(job)


def has_lost_pods(job: KubeView) -> bool:
    """Return whether Pods of a Job have failed, also if they are gone by now."""
    return bool((job.get("status") or {}).get("failed"))
