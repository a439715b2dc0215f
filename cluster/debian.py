"""Debian packages: what a command needs, it installs."""

from __future__ import annotations

from cluster.config import HERE
from cluster.system import run, step

_APT = HERE.parent / "scripts" / "apt"


def install(*packages: str) -> list[str]:
    """Install what is missing of `packages` and return the names of what was installed.

    Raises ClusterError with the words of apt, or when this machine has none.
    """
    missing = run(_APT, "--missing", *packages).split()
    if missing:
        with step(f"installing {', '.join(missing)} with apt"):
            run(_APT, *missing)
    return missing
