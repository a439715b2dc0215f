"""Patterns of `.dagignore` and `.dockerignore`: which paths they leave out.

Docker's rules, which are not git's: patterns are anchored at the directory, a match of a directory
holds for everything below, the last pattern that matches decides.
https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

from __future__ import annotations

import posixpath
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from dag.core.image.archive import parents
from dag.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Pattern(Struct, frozen=True):
    """A line of an ignore file; `text` and `where` are for messages."""

    text: str
    where: str
    keeps: bool
    matches: Callable[[str], bool]
    """Returns whether it is about a path, and not only about one above it."""


class Patterns:
    """Patterns in the order in which they were written."""

    def __init__(self, patterns: Iterable[Pattern] = ()) -> None:
        """Take the patterns; the last one that matches decides."""
        self._patterns = tuple(patterns)
        self.keeps_any = any(pattern.keeps for pattern in self._patterns)

    def __add__(self, other: Patterns) -> Patterns:
        return Patterns((*self._patterns, *other._patterns))

    def match(self, path: str) -> Pattern | None:
        """Return the pattern that leaves a path out, or None when it stays."""
        if not self._patterns:
            return None
        candidates = [*parents(path), path]
        for pattern in reversed(self._patterns):
            if any(map(pattern.matches, candidates)):
                return None if pattern.keeps else pattern
        return None


def parse_patterns(text: str, name: str) -> Patterns:
    """Read an ignore file's text; `name` is for messages.

    Raises:
        UsageError: a pattern is malformed.

    """
    patterns = []
    # No other character ends a line, so that a name may have those.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if line.startswith("#") or not line.strip():
            continue
        pattern = compile_pattern(line.strip(), f"{name}:{number}")
        if pattern is not None:
            patterns.append(pattern)
    return Patterns(patterns)


def compile_pattern(text: str, where: str) -> Pattern | None:
    """Compile a pattern; None for one that says nothing, as `.` or `/`.

    Raises:
        UsageError: it is malformed.

    """
    keeps = text.startswith("!")
    glob = text[1:].strip() if keeps else text
    if not glob:
        raise UsageError(
            f"{where}: a ! alone keeps nothing",
            hint="write behind it what is to be kept, or remove the line",
        )
    glob = posixpath.normpath(posixpath.normpath(glob).lstrip("/").strip() or ".").lstrip("/")
    if glob in ("", "."):
        return None
    try:
        _check_syntax(glob)
        matches = _matcher(glob)
    except ValueError:
        raise UsageError(f"{where}: {text!r} is not a pattern") from None
    return Pattern(text, where, keeps, matches)


def _check_syntax(glob: str) -> None:
    """Refuse what Go's filepath.Match does not take, which Docker asks first."""
    i = 0
    while i < len(glob):
        char = glob[i]
        i += 1
        if char == "\\":
            i = _after(glob, i)
        elif char == "[":
            i += glob[i : i + 1] == "^"
            i = _after_bound(glob, i)
            while glob[i] != "]":
                i = _after_bound(glob, i)


def _after_bound(glob: str, i: int) -> int:
    """Return where a character or a range of a class ends; more must follow."""
    for _ in range(2):
        if glob[i : i + 1] in ("", "-", "]"):
            raise ValueError
        i = _after(glob, i + (glob[i] == "\\"))
        if i == len(glob):
            raise ValueError
        if glob[i] != "-":
            break
        i += 1
    else:
        i -= 1
    return i


def _after(glob: str, i: int) -> int:
    if i >= len(glob):
        raise ValueError
    return i + 1


def _matcher(glob: str) -> Callable[[str], bool]:
    """Return the function that moby/patternmatcher makes of a pattern, special cases included.

    https://github.com/moby/patternmatcher/blob/v0.6.1/patternmatcher.go
    """
    regex, kind, i = "", "exact", 0
    while i < len(glob):
        start, char = i, glob[i]
        i += 1
        if char == "*" and glob[i : i + 1] == "*":
            i += 1 + (glob[i + 1 : i + 2] == "/")  # `**/` is any number of directories, none too
            if i < len(glob):
                regex, kind = f"{regex}(.*/)?", "regex"
            elif kind == "exact":
                kind = "prefix"
            else:
                regex, kind = f"{regex}.*", "regex"
            if start == 0:
                kind = "suffix"
        else:
            piece, length = _piece(glob, start)
            i = start + length
            regex += piece
            if char in "*?[]\\":
                kind = "regex"
    if kind == "exact":
        return glob.__eq__
    if kind == "prefix":
        return partial(_starts, glob[:-2])
    if kind == "suffix":
        return partial(_ends, glob[2:])
    return _regex(regex)


def _piece(glob: str, i: int) -> tuple[str, int]:
    """Return the expression for a character of a pattern, and how many characters those are."""
    char = glob[i]
    if char == "\\":
        return glob[i : i + 2], 2
    if char in "*?":
        return "[^/]*" if char == "*" else "[^/]", 1
    return (f"\\{char}" if char in ".+()|{}$" else char), 1


def _starts(prefix: str, path: str) -> bool:
    return path.startswith(prefix)


def _ends(suffix: str, path: str) -> bool:
    return path.endswith(suffix) or suffix == f"/{path}"


def _regex(text: str) -> Callable[[str], bool]:
    # Go's expressions are RE2's: also what nobody meant to write means the same.
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(text, options)
    except re2.error as error:
        raise ValueError from error

    def matches(path: str) -> bool:
        # A name that is no UTF-8 has a question mark for each byte that is none.
        return compiled.fullmatch(path.encode(errors="replace").decode()) is not None

    return matches
