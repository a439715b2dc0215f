"""Reads what an attempt took."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from dag.core.build.usage import Usage, parse_usage
from dag.core.package.apk import BrokenPackage
from dag.io.package.prover import open_inside

_MOST = 256
"""Bytes; three short lines have 80."""


def read_usage(directory: Path, path: PurePath) -> Usage | None:
    """Read what a build script said below `directory`; None if it did not come to that."""
    try:
        with open_inside(directory, path) as file:
            return parse_usage(os.pread(file, _MOST, 0).decode(errors="replace"))
    except (OSError, BrokenPackage):
        return None
