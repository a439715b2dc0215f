"""The installation of Debian packages; each command installs what it needs."""

from __future__ import annotations

from cluster.config import HERE
from cluster.system import run, step

_APT = HERE.parent / "scripts" / "apt"


def install(*packages: str) -> list[str]:
    """Install those of `packages` that are missing, and return their names.

    Raises ClusterError with the message of apt, or if this machine has no apt.
    """
    missing = run(_APT, "--missing", *packages).split()
    if missing:
        with step(f"installing {', '.join(missing)} with apt"):
            run(_APT, *missing)
    return missing
