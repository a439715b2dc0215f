"""The files of dag itself, as they are installed here, however that was done."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import dag
from dag.core.image.archive import File, file_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_DISTRIBUTION = "melange-dag"
_LOCK = "agent.lock"


def read_lock() -> bytes:
    """Return the lock file of what the agent needs, which is distributed with dag."""
    return files(dag).joinpath(_LOCK).read_bytes()


def own_files() -> list[File]:
    """Return the files of dag, without byte code, by their paths below the packages' directory.

    A wheel, pipx and an editable checkout all have the same ones. What says how dag was installed is
    left out; its name and version stay.
    """
    package = Path(dag.__file__).parent
    found = [file_of(f"dag/{path}", (package / path).read_bytes()) for path in _paths(package)]
    metadata = f"Metadata-Version: 2.1\nName: {_DISTRIBUTION}\nVersion: {dag.__version__}\n"
    directory = f"{_DISTRIBUTION.replace('-', '_')}-{dag.__version__}.dist-info"
    return [*found, file_of(f"{directory}/METADATA", metadata.encode())]


def _paths(package: Path) -> Iterator[str]:
    for directory, below, names in os.walk(package):
        below[:] = sorted(one for one in below if one != "__pycache__" and not one.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith((".pyc", "~")):
                yield (Path(directory) / name).relative_to(package).as_posix()
