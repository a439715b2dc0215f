"""Says what takes long, where nothing else is said for a while."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dag.core.visible import visible_entry
from dag.report.terminal import current_manner, shows_tables

AFTER = 1.0
"""Seconds after which somebody who watches wants to know what takes so long."""
AGAIN = 10.0
"""Seconds after which they want to know how far it is."""
UNWATCHED = 60.0
"""Seconds after which, and between which, a log says it where there is no terminal."""


@contextmanager
def announced(words: Callable[[], str]) -> Iterator[None]:
    """Say what is done inside of the block, if that takes longer than a second and a person watches.

    It is said again whenever there are other words for it, which tell how far it is; where there is
    no terminal, once a minute. That is told by a signal and not by a thread: where there are threads,
    nothing may fork, and definitions are read by several processes. So it is told only of what the
    main thread does.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or current_manner().quiet:
        yield
        return
    told = ""

    def tell(_signal: int, _frame: object) -> None:
        nonlocal told
        if (text := words()) != told:
            told = text
            # Not through the stream: the program may be in the middle of writing to that.
            os.write(sys.stderr.fileno(), f"dag: {visible_entry(text)}\n".encode())
        signal.setitimer(
            signal.ITIMER_REAL, again
        )  # not before, so that nothing later is said earlier

    before = signal.signal(signal.SIGALRM, tell)
    after, again = (AFTER, AGAIN) if shows_tables(sys.stderr) else (UNWATCHED, UNWATCHED)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
