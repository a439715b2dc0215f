"""Ctrl-C before a command begins, and while one runs. It imports nothing that takes time.

So it calls `_signal`, which is in the interpreter: `signal` makes enumerations of its numbers, and
for that imports what takes longer than all before it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

    Handler = Callable[[int, FrameType | None], object]
else:
    import _signal as signal

INTERRUPTED = 130
"""The exit code after Ctrl-C."""
_SOON = 0.01
"""Seconds."""


def leave_when_told() -> None:
    """Have Ctrl-C end this process at once, because nothing was begun yet."""
    _listen(_leave)


def clean_up_when_told() -> None:
    """Have Ctrl-C raise KeyboardInterrupt, also where Python swallows one, as in a callback of `weakref`."""
    _listen(signal.default_int_handler)
    sys.unraisablehook = _interrupt_again


def _listen(handler: Handler) -> None:
    # All of them mean: stop, and clean up. Under nohup a terminal that closes means nothing, and
    # Ctrl-C nothing to what runs in the background of a shell.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    try:
        os.write(2, b"dag: interrupted\n")
    finally:
        os._exit(INTERRUPTED)


def _interrupt_again(swallowed: sys.UnraisableHookArgs) -> None:
    if not isinstance(swallowed.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(swallowed)
        return
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, _SOON)
