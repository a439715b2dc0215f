"""Processes that a dead run has left behind."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from dag.errors import InfrastructureError

_PATIENCE = 10.0
"""How many seconds killed processes have to be gone: one may be writing out a large file."""


def end_below(place: Path) -> None:
    """Kill every process whose working directory is `place` or below, and wait until none is left.

    Only attempts work there. A process in a sandbox ends with the process that made the sandbox.

    Raises:
        InfrastructureError: one does not end.

    """
    deadline = time.monotonic() + _PATIENCE
    while found := _below(os.fspath(place.resolve())):
        if time.monotonic() > deadline:
            raise InfrastructureError(
                f"process {found[0]} of an earlier build does not end although it was killed",
                hint=f"look at it with `ps {found[0]}`; the build can begin when it is gone",
            )
        for process in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def _below(place: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208  # once per process, and there are many
        if name.isdigit() and int(name) != os.getpid():
            with suppress(OSError):
                directory = os.readlink(f"/proc/{name}/cwd")  # noqa: PTH115
                if directory == place or directory.startswith(f"{place}/"):
                    found.append(int(name))
    return found
