"""Keeps what is there until the end of a command out of the search for garbage.

Python's collector looks through everything that has been there for some time, again and again. Of the
thousands of definitions, packages and units of a distribution that takes half a second, finds nothing,
and nobody hears meanwhile that a build has ended.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reading_what_lasts() -> Iterator[None]:
    """Look for no garbage while something is read, and never in what was read then."""
    gc.disable()
    try:
        yield
        keep_what_is_there()
    finally:
        gc.enable()


def keep_what_is_there() -> None:
    """Look for no garbage in what is there now: it stays, or goes as soon as nobody has it."""
    gc.freeze()
