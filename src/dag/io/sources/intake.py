"""Takes in the body of an answer: gathers it in blocks, and notices when it trickles."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from dag.io.sources.part import BLOCK

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from dag.io.sources.part import Part
    from dag.io.sources.transport import TransferLimits

_SMALL_BODY = 1 << 16
"""Bytes up to which a thread would cost more than it saves."""


class Intake:
    """Gathers blocks, and has one written and hashed while the next one comes."""

    def __init__(self, part: Part, threads: ThreadPoolExecutor) -> None:
        """Take the part of the file, and the threads that write to it."""
        self._part = part
        self._threads = threads
        self._pieces: list[bytes | bytearray] = []
        self._size = 0
        self._writing: asyncio.Future[None] | None = None

    async def add(self, data: bytes | bytearray) -> bool:
        """Take more; return whether a block was full."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size < BLOCK:
            return False
        await self._wait_until_written()
        self._write()
        return True

    async def close(self) -> None:
        """Write the rest: what has come is kept, whatever happened.

        Nobody may close the file under a thread that writes, not even when the task is cancelled.
        """
        await self._wait_until_written()
        if self._size > _SMALL_BODY:
            self._write()
            await self._wait_until_written()
        elif self._pieces:  # a thread would cost more
            self._part.write(b"".join(self._pieces))

    def _write(self) -> None:
        # One piece, joined here: a thread that came back to the interpreter for each would wait
        # for this one every time.
        block = b"".join(self._pieces)
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(self._threads, self._part.write, block)
        self._pieces, self._size = [], 0

    async def _wait_until_written(self) -> None:
        if (writing := self._writing) is not None:
            self._writing = None
            await finish(writing)


class Pace:
    """The speed of a body, looked at from time to time."""

    def __init__(self, limits: TransferLimits) -> None:
        """Begin to measure now."""
        self._limits = limits
        self._since = time.monotonic()
        self._bytes = 0

    def is_too_slow(self, more: int) -> bool:
        """Count more bytes; return whether they come too slowly for too long."""
        self._bytes += more
        now = time.monotonic()
        if now - self._since < self._limits.stall:
            return False
        too_slow = self._bytes < self._limits.slowest * self._limits.stall
        self._since, self._bytes = now, 0
        return too_slow


async def finish(work: asyncio.Future[None]) -> None:
    """Wait for a thread's work to its end, and only then let a cancellation through."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:  # noqa: BLE001  # result() raises it below
            break
    if cancelled is not None:
        raise cancelled
    work.result()
