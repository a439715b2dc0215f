"""The names and labels of Jobs, which are made of what they are for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from dag.core.kube.objects import KubeView
from dag.core.pod.manifest import ARCH_LABEL, RUN_LABEL

STORE_LABEL = "dag/store"
"""A hash of the store's name: it finds the Jobs of whoever builds there."""
JOB_LABEL = "batch.kubernetes.io/job-name"
"""The label with which Kubernetes says whose Job a Pod is."""
PACKAGE_ANNOTATION, ATTEMPT_ANNOTATION = "dag/package", "dag/attempt"
BUNDLE_ANNOTATION = "dag/bundle"
_REPLACED = re.compile(r"[^a-z0-9]+")
_SLUG = 30
_NUMBER = re.compile(r"[0-9]{1,9}")


def job_name(run: str, package: str, arch: str, attempt: int) -> str:
    """Return the name of an attempt's Job: the same words always give the same name.

    Packages have names that Kubernetes does not take, like `Catch2` and `libstdc++`; so the name has
    a readable part, and a hash that tells them apart.
    """
    digest = hashlib.sha256("\0".join((run, package, arch, str(attempt))).encode()).hexdigest()
    slug = _REPLACED.sub("-", package.lower())[:_SLUG].strip("-")
    return f"dag-{slug}-{digest[:16]}" if slug else f"dag-{digest[:16]}"


def attempt_of(job: KubeView) -> tuple[str, int] | None:
    """Return the package and the number of a Job's attempt; None if it is not for a unit.

    A Job that has both has the label of a run and the annotation of a bundle, too.
    """
    about = job["metadata"]
    annotations, marks = about.get("annotations") or {}, about.get("labels") or {}
    package, number = annotations.get(PACKAGE_ANNOTATION), annotations.get(ATTEMPT_ANNOTATION, "")
    if not (package and annotations.get(BUNDLE_ANNOTATION) and marks.get(RUN_LABEL)):
        return None  # somebody has made it by hand
    return (str(package), int(number)) if _NUMBER.fullmatch(str(number)) else None


def labels(run: str, arch: str, store: str) -> dict[str, str]:
    """Return the labels of a Job and of its Pods; `store` is the whole name of the store."""
    return {
        "app.kubernetes.io/name": "dag",
        "app.kubernetes.io/managed-by": "dag",
        RUN_LABEL: run,
        ARCH_LABEL: arch,
        STORE_LABEL: hashlib.sha256(store.encode()).hexdigest()[:32],
    }


def jobs_path(namespace: str) -> str:
    """Return the API's path to the Jobs of a namespace."""
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def pods_path(namespace: str) -> str:
    """Return the API's path to the Pods of a namespace."""
    return f"/api/v1/namespaces/{namespace}/pods"


@dataclass(frozen=True, slots=True)
class StoreInCluster:
    """The store of one architecture as the Kubernetes API knows it: by namespace and labels."""

    namespace: str
    arch: str
    """As apk names it."""
    store: str
    """The whole name, such as `pvc://packages/wolfi`."""

    def __str__(self) -> str:
        return self.store

    def selector(self, run: str = "") -> str:
        """Return the label selector that finds Jobs and Pods, of any run or of one."""
        return f"{ARCH_LABEL}={self.arch},{self.selector_of_all(run)}"

    def selector_of_all(self, run: str = "") -> str:
        """Return the label selector that finds Jobs and Pods for any architecture, of any run or of one."""
        marks = labels(run, self.arch, self.store)
        wanted = (STORE_LABEL, *((RUN_LABEL,) if run else ()))
        return ",".join(f"{name}={marks[name]}" for name in wanted)

    @property
    def jobs_path(self) -> str:
        """Return the API's path to Jobs."""
        return jobs_path(self.namespace)

    @property
    def pods_path(self) -> str:
        """Return the API's path to Pods."""
        return pods_path(self.namespace)

    @property
    def lease_name(self) -> str:
        """Return the name of the store's Lease."""
        digest = hashlib.sha256(f"{self.arch} {self.store}".encode()).hexdigest()
        return f"dag-{digest[:32]}"

    @property
    def leases_path(self) -> str:
        """Return the API's path to Leases."""
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
