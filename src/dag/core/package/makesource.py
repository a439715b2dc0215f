"""The text of a Makefile with those that it includes, and where each line of it stands."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple


class MakefilePart(NamedTuple):
    """A run of lines of one file."""

    first: int
    """The line of the whole text at which it begins, counted from 1."""
    file: str
    """The path of the file, relative to the directory of the Makefile."""
    line: int
    """The line of the file at which it begins."""


class MakefileText(NamedTuple):
    """A Makefile in which each included file stands in the place of the line that includes it."""

    text: str
    parts: tuple[MakefilePart, ...]
    """In the order of their lines."""
    lacking: tuple[tuple[int, str], ...] = ()
    """The lines of the text that include a file which is not there, and the names of these files."""

    def place(self, line: int) -> tuple[str, int]:
        """Return the file in which a line of the text is, and its number there."""
        part = self.parts[max(0, bisect_right(self.parts, line, key=lambda one: one.first) - 1)]
        return part.file, part.line + max(line, part.first) - part.first
