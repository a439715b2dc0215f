"""Waits for something that happens elsewhere, and of which nothing tells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], what: str, seconds: float = 240) -> T:
    """Wait until `condition` holds, and return what it gives.

    After so many seconds it is an AssertionError with `what`.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
    return found


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until `condition` holds of something in this process, or what it serves, that has no event.

    Raises:
        TimeoutError: it does not within so many seconds.

    """
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # there is no event, or this would not be called
            await asyncio.sleep(0.01)


def opens_something(pid: int) -> bool:
    """Return whether a process waits in `openat`, as it does for the other end of a pipe."""
    number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    return number in ("257", "56")  # on x86_64 and on aarch64
