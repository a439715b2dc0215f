"""A wait for something that happens in another process."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until `condition` holds; after so many seconds it is an AssertionError with `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
