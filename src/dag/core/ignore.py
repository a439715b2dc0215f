"""`.dagignore` and `.dockerignore`: which paths their patterns leave out.

Docker's rules, which are not git's: patterns are anchored at the directory, a match of a directory
holds for everything below, the last pattern that matches decides.
https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dag.core.archive import parents
from dag.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file; `text` and `where` are for messages."""

    text: str
    where: str
    keeps: bool
    regex: re.Pattern[str]


class Patterns:
    """Patterns in the order in which they were written."""

    def __init__(self, patterns: Iterable[Pattern] = ()) -> None:
        self._patterns = tuple(patterns)
        self.keeps_any = any(pattern.keeps for pattern in self._patterns)

    def __add__(self, other: Patterns) -> Patterns:
        return Patterns((*self._patterns, *other._patterns))

    def match(self, path: str) -> Pattern | None:
        """The pattern that leaves a path out, or None when it stays."""
        if not self._patterns:
            return None
        candidates = [*parents(path), path]
        for pattern in reversed(self._patterns):
            if any(pattern.regex.fullmatch(candidate) for candidate in candidates):
                return None if pattern.keeps else pattern
        return None


def parse(text: str, name: str) -> Patterns:
    """Read an ignore file's text; `name` is for messages.

    Raises:
        UsageError: a pattern is malformed.

    """
    patterns = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if line.startswith("#") or not line.strip():
            continue
        pattern = compile_pattern(line.strip(), f"{name}:{number}")
        if pattern is not None:
            patterns.append(pattern)
    return Patterns(patterns)


def compile_pattern(text: str, where: str) -> Pattern | None:
    """Compile one pattern; None for one that says nothing, as `.` or `/`.

    Raises:
        UsageError: it is malformed.

    """
    keeps = text.startswith("!")
    glob = text[1:].strip() if keeps else text
    if not glob:
        raise UsageError(f"{where}: a lone ! excludes nothing")
    glob = posixpath.normpath(glob).lstrip("/")
    if glob in ("", "."):
        return None
    try:
        regex = re.compile(_translate(glob), re.DOTALL)
    except (re.error, IndexError):
        raise UsageError(f"{where}: {text!r} is no pattern") from None
    return Pattern(text, where, keeps, regex)


def _translate(glob: str) -> str:
    """The regular expression of a pattern, as moby/patternmatcher makes it."""
    regex, i = "", 0
    while i < len(glob):
        char = glob[i]
        i += 1
        if char == "*" and glob[i : i + 1] == "*":
            i += 1
            if glob[i : i + 1] == "/":  # `**/` is any number of directories, none too
                i += 1
                regex += "(?:.*/)?"
            else:
                regex += ".*"
        elif char == "*":
            regex += "[^/]*"
        elif char == "?":
            regex += "[^/]"
        elif char == "[":
            end = glob.index("]", i + 1) if "]" in glob[i + 1 :] else len(glob)
            inside = glob[i:end]
            if end == len(glob):
                raise IndexError
            negated = inside.startswith("^")
            body = inside.removeprefix("^").replace("[", "\\[").replace("&&", "&\\&")
            regex += f"[{'^/' if negated else ''}{body}]"
            i = end + 1
        elif char == "\\":
            regex += re.escape(glob[i])
            i += 1
        else:
            regex += re.escape(char)
    return regex
