"""Waits for the end of a build in another container."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path

from dag.errors import InfrastructureError
from dag.io.agent.signals import await_end, await_start


@dataclass(frozen=True, slots=True)
class BuildEnd:
    """The end of a build as others see it."""

    code: int | None
    """What the build script said; None if it was ended before it came to that."""
    seconds: float


def await_build(pipe: Path, *, last: bool) -> BuildEnd:
    """Wait until the build has ended, however it ends.

    With `last` this goes on when somebody ends the pod: that ends the build, and what is finished
    by then is not lost.

    Raises:
        InfrastructureError: the pod was ended before the build had begun.

    """
    try:
        descriptor = await_start(pipe)
    except KeyboardInterrupt:
        raise InfrastructureError("the pod was ended before the build started") from None
    if last:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    began = time.monotonic()
    code = await_end(descriptor)
    return BuildEnd(code, time.monotonic() - began)
