"""Files that look like definitions and are not read: `*.yml`, and what lies in folders."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from dag.core.limits import STRAY, TooLarge
from dag.core.package.nametext import may_define
from dag.io.files import read_bytes

_NOT_LOOKED_INTO = frozenset({"pipelines", "packages", "cache"})
_MOST_FILES = 5
"""How many files of a folder are looked into."""
_MOST_FOLDERS = 2_000
_SHOWN = 3


def stray_remarks(
    directory: Path, yml: Sequence[str], folders: Sequence[str], stems: Collection[str]
) -> Iterator[str]:
    """Yield words about definitions that are not read.

    `yml` are the files at the top level that end with that, `folders` the directories there. A
    folder with the name of one of `stems`, the definitions' files, has its sources.
    """
    found = [name for name in yml if _looks_like_definition(directory / name)]
    if found:
        yield (
            f"{_some(directory, found)} not read, because only *.yaml is; rename what is a definition"
        )
    others = [name for name in folders if name not in stems and name not in _NOT_LOOKED_INTO]
    definitions = (_find_definition(directory, name) for name in sorted(others)[:_MOST_FOLDERS])
    inside = [path for path in definitions if path is not None]
    if inside:
        yield (
            f"{_some(directory, inside)} not read, because only the top level of {directory} is; "
            "move definitions there, or name their folder with --dir"
        )


def _find_definition(directory: Path, folder: str) -> str | None:
    """Return the first file of a folder that looks like a definition."""
    try:
        with os.scandir(directory / folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".yaml")]
    except OSError:
        return None
    paths = [f"{folder}/{name}" for name in sorted(names) if name[0] != "."]
    return next(
        (path for path in paths[:_MOST_FILES] if _looks_like_definition(directory / path)), None
    )


def _looks_like_definition(path: Path) -> bool:
    try:
        return may_define(read_bytes(path, STRAY))
    except (OSError, TooLarge):
        return False


def _some(directory: Path, names: Sequence[str]) -> str:
    """Return the first of some files, and the verb for their number."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(str(directory / name) for name in names[:_SHOWN])}{more} {verb}"
