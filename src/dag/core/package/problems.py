"""Problems in files: what is wrong in which line, and how a person mends it."""

from __future__ import annotations

from typing import NamedTuple


class FileProblem(NamedTuple):
    """Something that a person must change in a file."""

    file: str
    line: int
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}; {self.fix}"


class Broken(Exception):  # it becomes a `FileProblem`, never an error of the program
    """A file that cannot be read any further."""

    def __init__(self, line: int, what: str, fix: str) -> None:
        super().__init__(what)
        self.line, self.what, self.fix = line, what, fix
