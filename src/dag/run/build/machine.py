"""What this machine has for units."""

from __future__ import annotations

import os

from dag.core.build.options import MachineResources


def machine_resources() -> MachineResources:
    """Return the processors that this process may use, and all memory."""
    return MachineResources(
        processors=len(os.sched_getaffinity(0)),
        ram=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )
