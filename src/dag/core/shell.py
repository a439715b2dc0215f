"""Shell scripts: their text is a file beside the module that uses it, and values are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

INTERPRETER = "sh"


@dataclass(frozen=True, slots=True)
class ShellScript:
    """A POSIX script, and the first arguments that it gets."""

    text: str
    arguments: Sequence[str] = ()

    def command(self, *more: str) -> list[str]:
        """Return the words that run the script with its own arguments, and `more` after them."""
        return [INTERPRETER, "-c", self.text, "dag", *self.arguments, *more]


@cache
def script_text(package: str, name: str) -> str:
    """Read the script NAME.sh, which is distributed with the Python package `package`."""
    return files(package).joinpath(f"{name}.sh").read_text(encoding="utf-8")
