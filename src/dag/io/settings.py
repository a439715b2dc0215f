"""The file `dag.toml` beside the definitions, as it is read from the disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dag.core.limits import SETTINGS
from dag.errors import UsageError
from dag.io.files import read_text

SETTINGS_FILE = "dag.toml"
_NUL = re.compile(r"\\(?:u0000|U00000000)")
"""NUL as TOML has it written: nothing else may stand for it there."""


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The content of the file, and the places in it."""

    path: Path
    text: str
    table: Mapping[str, Any]

    def line(self, key: str) -> int:
        """Return the line of a key."""
        # tomllib gives no positions; the first line that starts with the key is where a reader looks.
        for number, line in enumerate(self.text.splitlines(), start=1):
            stripped = line.strip().lstrip("[").lstrip()
            if stripped.startswith((key, f'"{key}"', key.rpartition(".")[2])):
                return number
        return 1

    def place(self, key: str) -> str:
        """Return FILE:LINE of a key."""
        return f"{self.path}:{self.line(key)}"


def read_settings_file(directory: Path) -> SettingsFile | None:
    """Return the file in this directory; None if there is none.

    Raises:
        UsageError: it cannot be read, or is no TOML.

    """
    return parse_settings(directory / SETTINGS_FILE)


def parse_settings(path: Path) -> SettingsFile | None:
    """Return what is in the file at `path`; None if there is none.

    Raises:
        UsageError: it cannot be read, or is no TOML.

    """
    try:
        text = read_text(path, SETTINGS).removeprefix("\ufeff")  # which some editors put first
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise UsageError(
            f"{path.parent} is no directory", hint="--dir takes the directory of the definitions"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: {error}", hint="the file must be TOML in UTF-8") from error
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", hint="make it a file that you can read, or remove it"
        ) from error
    import tomllib

    try:
        table = tomllib.loads(text)
        if (nul := _NUL.search(text)) and _has_nul(table):
            line = text.count("\n", 0, nul.start()) + 1
            raise UsageError(
                f"{path}:{line}: a value has the character NUL, which no path and no argument can have",
                hint="remove it",
            )
        return SettingsFile(path, text, table)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}", hint="the file must be TOML in UTF-8") from error
    except RecursionError:
        raise UsageError(f"{path}: it is nested too deeply", hint="flatten it") from None


def _has_nul(value: object) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(map(_has_nul, [*value, *value.values()]))
        case list():
            return any(map(_has_nul, value))
        case _:
            return False
