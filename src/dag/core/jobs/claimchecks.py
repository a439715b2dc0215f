"""Whether a volume claim can be a store that agents on all nodes share."""

from __future__ import annotations

from dag.core.jobs.claims import Claim
from dag.core.kube.objects import KubeView
from dag.errors import UsageError

_SHARED = "ReadWriteMany"


def require_shared_claim(claim: Claim, namespace: str, found: KubeView | None) -> None:
    """Refuse a claim that is not there, lost, or cannot be mounted on several nodes at once.

    Raises:
        UsageError: it is so.

    """
    where = f"volume claim {claim.name} in namespace {namespace}"
    if found is None:
        raise UsageError(
            f"there is no {where}",
            hint="`kubectl get persistentvolumeclaims` lists those there are; one of the access mode"
            f" {_SHARED} is wanted",
        )
    modes = found.get("spec", {}).get("accessModes", ())
    if _SHARED not in modes:
        raise UsageError(
            f"the {where} cannot be mounted on several nodes at once: its access modes are"
            f" {', '.join(map(str, modes)) or 'none'}",
            hint=f"make one of the access mode {_SHARED}; unless --isolation is privileged, its file"
            " system must support ID-mapped mounts, which NFS does not",
        )
    if found.get("status", {}).get("phase") == "Lost":
        raise UsageError(f"the {where} has lost its volume", hint="make another claim")
