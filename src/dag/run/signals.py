"""Ctrl-C and SIGTERM: the first asks to stop, the second leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from dag.errors import Interrupted

T = TypeVar("T")


def run_interruptibly(main: Coroutine[Any, Any, T]) -> T:
    """Run `main`; a first SIGINT or SIGTERM cancels it, so that it may clean up.

    A second one ends the process at once with 130, whatever the clean-up is doing; what it is
    doing, and to what, it has said before.
    """
    return asyncio.run(_guard(main))


async def _guard(main: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # asyncio.run runs tasks
    interrupted = False

    def on_signal() -> None:
        nonlocal interrupted
        if interrupted:
            sys.stderr.write("dag: left at once; what was being deleted may still be there\n")
            sys.stderr.flush()
            os._exit(130)
        interrupted = True
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        return await main
    except asyncio.CancelledError:
        raise Interrupted("interrupted") from None
