"""Handles Ctrl-C, SIGTERM and a terminal that closes: the first asks to stop, the second leaves."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dag.errors import Interrupted
from dag.report.terminal import say

T = TypeVar("T")


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _leave(number: int, _: object) -> None:
    os._exit(128 + number)


def leave_on_sigterm() -> None:
    """Let SIGTERM end the process on the spot from now on: somebody else goes on with its work."""
    signal.signal(signal.SIGTERM, _leave)


def _unknown_leftovers() -> str:
    return "what was being deleted may still be there"


def run_interruptibly(
    main: Coroutine[Any, Any, T], leftovers: Callable[[], str] = _unknown_leftovers
) -> T:
    """Run `main` and return its result; a first signal cancels it, so that it may clean up.

    A second signal ends the process at once with 130, whatever the clean-up is doing; `leftovers`
    returns words for what may be left behind. A SIGHUP that nohup has ignored stays ignored.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        return asyncio.run(_guard(main, leftovers))
    finally:
        # A loop that closes leaves the default, with which SIGTERM ends the process on the spot.
        for number, handler in before.items():
            signal.signal(number, handler)


async def _guard(main: Coroutine[Any, Any, T], leftovers: Callable[[], str]) -> T:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # asyncio.run runs tasks
    interrupted = False

    def on_signal() -> None:
        nonlocal interrupted
        if interrupted:
            say(f"left at once; {leftovers()}")
            os._exit(130)
        interrupted = True
        task.cancel()

    before = signal.getsignal(signal.SIGHUP)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        if number is signal.SIGHUP and before is signal.SIG_IGN:
            continue  # nohup: what else is ignored was only inherited from a shell's background
        if signal.getsignal(number) is _leave:
            continue
        loop.add_signal_handler(number, on_signal)
    try:
        return await main
    except asyncio.CancelledError:
        raise Interrupted("interrupted") from None
