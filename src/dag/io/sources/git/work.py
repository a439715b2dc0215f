"""How much the processes of a session have done, by which one that waits in vain is known."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_TICK = 20_000
"""The bytes that count as much as a tick of processor time, of which a second has a hundred."""


def work_of(session: int) -> int:
    """Return the bytes that a session's living processes have read and written, and their computing.

    It stays as it is, or nearly, while all of them wait. Without /proc it is 0.
    """
    total = 0
    with suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208  # once per process, and there are many
            if name.isdigit():
                with suppress(OSError, ValueError, IndexError):
                    total += _work_of_process(Path("/proc", name), session)
    return total


def _work_of_process(place: Path, session: int) -> int:
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, from the third field on: what is
    # before it is a name, in which anything may be.
    fields = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()
    if int(fields[3]) != session:
        return 0
    moved = dict(line.split(": ") for line in (place / "io").read_text().splitlines())
    return int(moved["rchar"]) + int(moved["wchar"]) + _TICK * (int(fields[11]) + int(fields[12]))
