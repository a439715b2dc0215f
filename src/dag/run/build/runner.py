"""What the engine wants of whoever runs units: processes here, Jobs in a cluster."""

from __future__ import annotations

from typing import Protocol

from dag.core.build.events import (
    Began,
    Broke,
    Cancelled,
    Faulted,
    OutOfMemory,
    Proven,
    ProvePackages,
    Start,
    Succeeded,
)

Ended = Succeeded | Broke | OutOfMemory | Faulted | Cancelled
Answer = Proven | Broke | Faulted


class Runner(Protocol):
    """Runs attempts and proves what they made. An OSError or DagError counts as a fault."""

    async def open(self) -> Began:
        """Get ready; say which attempts are alive from before, and which have ended."""

    async def run(self, start: Start) -> Ended:
        """Run an attempt to its end, or adopt it if it lives already.

        When the task is cancelled: end the attempt, and raise CancelledError when it is gone.
        """

    async def prove(self, prove: ProvePackages) -> Answer:
        """Check what an attempt made against what its unit promises, and keep it: once, whole."""

    async def cancel(self, key: str, attempt: int) -> None:
        """End an attempt from before that `run` was never called for."""

    async def close(self) -> None:
        """Leave nothing behind."""
