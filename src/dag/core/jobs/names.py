"""The names and labels of Jobs, which are made of what they are for."""

from __future__ import annotations

import hashlib
import re

from dag.core.kube.objects import KubeView
from dag.core.pod.manifest import ARCH_LABEL, RUN_LABEL

STORE_LABEL = "dag/store"
"""A hash of the store's name: it finds the Jobs of whoever builds there."""
PACKAGE_ANNOTATION, ATTEMPT_ANNOTATION = "dag/package", "dag/attempt"
BUNDLE_ANNOTATION = "dag/bundle"
_REPLACED = re.compile(r"[^a-z0-9]+")
_SLUG = 30


def job_name(run: str, package: str, arch: str, attempt: int) -> str:
    """Return the name of an attempt's Job: the same words always give the same name.

    Packages have names that Kubernetes does not take, like `Catch2` and `libstdc++`; so the name has
    a readable part, and a hash that tells them apart.
    """
    digest = hashlib.sha256("\0".join((run, package, arch, str(attempt))).encode()).hexdigest()
    slug = _REPLACED.sub("-", package.lower())[:_SLUG].strip("-")
    return f"dag-{slug}-{digest[:16]}" if slug else f"dag-{digest[:16]}"


def attempt_of(job: KubeView) -> tuple[str, int] | None:
    """Return the package and the number of a Job's attempt; None if it is not for a unit."""
    annotations = job["metadata"].get("annotations") or {}
    package, number = annotations.get(PACKAGE_ANNOTATION), annotations.get(ATTEMPT_ANNOTATION, "")
    return (str(package), int(number)) if package and str(number).isdecimal() else None


def labels(run: str, arch: str, store: str) -> dict[str, str]:
    """Return the labels of a Job and of its Pods; `store` is the whole name of the store."""
    return {
        "app.kubernetes.io/name": "dag",
        "app.kubernetes.io/managed-by": "dag",
        RUN_LABEL: run,
        ARCH_LABEL: arch,
        STORE_LABEL: hashlib.sha256(store.encode()).hexdigest()[:32],
    }


def selector(arch: str, store: str, run: str = "") -> str:
    """Return the label selector that finds the Jobs and Pods in a store, of any run or of one."""
    wanted = (ARCH_LABEL, STORE_LABEL, *((RUN_LABEL,) if run else ()))
    marks = labels(run, arch, store)
    return ",".join(f"{name}={marks[name]}" for name in wanted)
