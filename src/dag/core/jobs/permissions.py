"""The permissions that `dag build --on kubernetes` needs at the API server."""

from __future__ import annotations

from dag.core.pod.permissions import Permission

BATCH = "batch"


def permissions_for_jobs(*, claim: bool, out: bool) -> list[Permission]:
    """Return what is needed to run units as Jobs, to follow them, to read how they ended, and to drive alone.

    With `claim` the store is a volume, which is looked at first. With `out`, what is published can be
    fetched through a Pod, too.
    """
    needed = [
        Permission(verb, "jobs", group=BATCH)
        for verb in ("create", "get", "list", "watch", "delete")
    ]
    needed += [Permission(verb, "pods") for verb in ("get", "list", "watch")]
    needed.append(Permission("get", "pods", "log"))
    if claim:
        needed.append(Permission("get", "persistentvolumeclaims"))
    needed += [
        Permission(verb, "leases", group="coordination.k8s.io")
        for verb in ("get", "create", "patch")
    ]
    needed.append(Permission("list", "events"))  # they alone tell why a Job has no Pod
    if out:
        needed.append(Permission("get", "pods", "proxy"))
    return needed
