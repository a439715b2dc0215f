"""The conditionals of a Makefile: `ifeq`, `ifdef` and their kind, as far as its text decides them.

https://www.gnu.org/software/make/manual/html_node/Conditionals.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from dag.core.package.makefunctions import arguments, mark_of

_CONDITION = re.compile(r"^(?P<word>ifeq|ifneq|ifdef|ifndef)\b\s*(?P<rest>.*)$", re.DOTALL)
_ELSE = re.compile(r"^else\b\s*(?P<rest>.*)$", re.DOTALL)
_ENDIF = re.compile(r"^endif\b")
_QUOTED = re.compile(r"""^(?P<one>"[^"]*"|'[^']*')\s*(?P<two>"[^"]*"|'[^']*')$""")


class _Variables(Protocol):
    """What conditionals ask of the Makefile that they stand in."""

    def expand(self, text: str, local: Mapping[str, str], depth: int = 0) -> str:
        """Expand all references in `text`."""

    def is_set(self, name: str) -> bool:
        """Return whether `ifdef` finds the variable."""


class Conditionals:
    """The `ifeq` and their kind that are open: of each, whether its branch counts.

    None stands for what only make knows.
    """

    def __init__(self, make: _Variables) -> None:
        self._make = make
        self._branches: list[bool | None] = []
        self._met: list[bool | None] = []
        """Of each, whether one of its branches has counted already."""

    @property
    def skipping(self) -> bool:
        """Whether what is read now does not count."""
        return False in self._branches

    @property
    def unsure(self) -> bool:
        """Whether only make knows if what is read now counts."""
        return None in self._branches

    def follow(self, line: str) -> bool:
        """Follow `line` if it is a directive of a conditional; return whether it is one."""
        if found := _CONDITION.match(line):
            truth = False if self.skipping else self._truth(found["word"], found["rest"])
            # A branch of what does not count never does, nor does its `else`.
            self._met.append(True if self.skipping else truth)
            self._branches.append(truth)
            return True
        if self._branches and (found := _ELSE.match(line)):
            self._branches[-1], self._met[-1] = self._otherwise(found["rest"])
            return True
        if self._branches and _ENDIF.match(line):
            self._branches.pop()
            self._met.pop()
            return True
        return False

    def _otherwise(self, rest: str) -> tuple[bool | None, bool | None]:
        met = self._met[-1]
        if met is True:
            return False, True
        again = _CONDITION.match(rest)
        truth = self._truth(again["word"], again["rest"]) if again else True
        if met is None:
            return (None if truth is not False else False), None
        return truth, truth

    def _truth(self, word: str, rest: str) -> bool | None:
        rest = without_comment(rest)
        if word in ("ifdef", "ifndef"):
            return self._make.is_set(self._make.expand(rest, {}).strip()) == (word == "ifdef")
        if quoted := _QUOTED.match(rest):
            sides = [quoted["one"][1:-1], quoted["two"][1:-1]]
        elif rest.startswith("(") and rest.endswith(")"):
            sides = [side.strip() for side in arguments(rest[1:-1], most=2)]
        else:
            return None
        if len(sides) != 2:
            return None
        one, two = (self._make.expand(side, {}) for side in sides)
        if mark_of(one, two):
            return None
        return (one == two) == (word == "ifeq")


def without_comment(line: str) -> str:
    """Return a line without the comment at its end."""
    start = re.search(r"(?<!\\)#", line)
    return line[: start.start()].rstrip() if start else line
