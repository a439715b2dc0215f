"""The names in a directory of definitions. Completion imports this, so it imports little."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from dag.errors import UsageError
from dag.io.files import is_so


class DirectoryListing(NamedTuple):
    """The names at the top level of a directory, but for those that begin with a dot."""

    yaml: list[str]
    yml: list[str]
    folders: list[str]


def list_directory(directory: Path) -> DirectoryListing:
    """Return the names in a directory.

    Raises:
        UsageError: it cannot be read.

    """
    found = DirectoryListing([], [], [])
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                name = entry.name
                if name[0] == ".":
                    continue
                if name.endswith(".yaml"):
                    found.yaml.append(name)
                elif name.endswith(".yml"):
                    found.yml.append(name)
                elif is_so(entry.is_dir):
                    found.folders.append(name)
    except OSError as error:
        raise UsageError(
            f"{directory} cannot be read: {error.strerror}",
            hint="name the directory of the definitions with --dir",
        ) from error
    for names in found:
        names.sort()
    return found
