"""The standard output, for what was asked for. `dag --help` imports this, so it imports little."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from dag.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterable


def put(pieces: Iterable[bytes], *, at_once: bool) -> bool:
    """Write to stdout, and return whether anybody reads it.

    Raises:
        InfrastructureError: it cannot be written.

    """
    try:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        if at_once:
            sys.stdout.flush()
    except OSError as error:
        silence(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return False
        raise InfrastructureError(
            f"the standard output cannot be written: {error.strerror}",
            hint="see where the shell leads it: to a file on a full disk, or with `>&-` nowhere",
        ) from error
    return True


def silence(stream: TextIO) -> None:
    """Send what is written from now on nowhere: the interpreter flushes once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
