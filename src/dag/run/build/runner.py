"""The interface of what runs units for the engine, as processes here or as Jobs in a cluster."""

from __future__ import annotations

from typing import Protocol

from dag.core.build.events import (
    Began,
    Broke,
    Cancelled,
    Faulted,
    Lacked,
    OutOfMemory,
    Proven,
    ProvePackages,
    Start,
    Succeeded,
    Unchanged,
)

Ended = Succeeded | Unchanged | Broke | Lacked | OutOfMemory | Faulted | Cancelled
ProofEnd = Proven | Broke | Faulted


class Runner(Protocol):
    """It runs attempts and proves what they made. An OSError or DagError counts as a fault."""

    async def open(self) -> Began:
        """Get ready, and return which attempts are alive from before, and which have ended."""

    async def run(self, start: Start) -> Ended:
        """Run an attempt to its end, or adopt it if it is alive already.

        When the task is cancelled, the attempt is ended, and CancelledError raised when it is gone.
        """

    async def prove(self, prove: ProvePackages) -> ProofEnd:
        """Compare what an attempt made with what its unit promises, and keep it whole and once."""

    async def cancel(self, key: str, attempt: int) -> None:
        """End an attempt from before for which `run` was never called."""

    async def close(self) -> None:
        """Remove whatever attempts have left behind."""
