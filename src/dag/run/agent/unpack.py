"""Lays out in a volume what the image of a bundle or of a cache carries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dag.errors import InfrastructureError
from dag.io.agent.signals import make_pipe
from dag.io.agent.tree import copy_tree


def unpack(source: Path, target: Path, pipes: Sequence[Path]) -> None:
    """Copy what the image carries, and make the pipes that tell when the build ends.

    Raises:
        InfrastructureError: a volume is full, or cannot be written to.

    """
    os.umask(0o022)
    try:
        copy_tree(source, target)
        for pipe in pipes:
            make_pipe(pipe)
    except OSError as error:
        where = error.filename2 or error.filename or target
        raise InfrastructureError(f"{where}: {error.strerror}") from error
