"""The files of a directory that a text names: what a Makefile includes, calls or passes on.

A Makefile cannot be asked without running it, so every word of its text counts that is the path of
a file, of a directory, or a pattern of such paths. What a variable stands for may be anything.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")
_ANY = "\0"
_REFERENCE = re.compile(r"\$(?:[({][\w.-]+(?::[^(){}]*)?[)}]|[\w@<*^?%+])")
"""A variable of make or of a shell, but no function: what is in its parentheses is text."""
_WORD = re.compile(rf"[A-Za-z0-9_@%+.,~/*?{_ANY}-]+")
_WILD = re.compile(rf"[*?%{_ANY}]")


class NamedPaths:
    """The paths of files, to find those that texts name."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Take paths, relative to the directory of the definitions."""
        self._files = sorted(paths)
        self._below: dict[str, list[str]] = {}
        for path in self._files:
            for folder in _parents(path):
                self._below.setdefault(folder, []).append(path)
            self._below.setdefault(path, []).append(path)

    def matching(self, word: str) -> list[str]:
        """Return the files that a word stands for: a file, those of a directory, or of a pattern."""
        path = posixpath.normpath(word.lstrip("@+-").lstrip("/") or ".")
        found = self._below.get(path)
        if found is not None:
            return found
        if not _WILD.search(path) or not path.strip(f"*?%/.{_ANY}"):
            return []
        matches = re.compile(_expression(path)).fullmatch
        return [one for one in self._files if matches(one)]

    def named_in(self, text: str, folder: str) -> set[str]:
        """Return the files that a text names, from the top or from its own folder."""
        words = {*_WORD.findall(_REFERENCE.sub(_ANY, _COMMENT.sub("", text)))}
        found: set[str] = set()
        # A variable at the beginning may stand for the directory itself.
        words |= {word.removeprefix(f"{_ANY}/") for word in words}
        for word in words:
            found.update(self.matching(word))
            if folder:
                found.update(self.matching(posixpath.join(folder, word)))
        return found

    def closure(self, given: Iterable[str], read: Callable[[str], str | None]) -> frozenset[str]:
        """Return files, those that they name, those that these name, and so on.

        `read` returns the text of a file, or None if it has none.
        """
        found = {*given}
        todo = list(found)
        while todo:
            path = todo.pop()
            text = read(path)
            if text is not None:
                new = self.named_in(text, posixpath.dirname(path)) - found
                found |= new
                todo += new
        return frozenset(found)


def _expression(pattern: str) -> str:
    """Return a pattern of paths as a regular expression; as in a shell it finds no hidden files."""
    parts = []
    for number, char in enumerate(pattern):
        if not _WILD.match(char):
            parts.append(re.escape(char))
            continue
        if number == 0 or pattern[number - 1] == "/":
            parts.append(r"(?!\.)")
        parts.append({"?": "[^/]", _ANY: ".*"}.get(char, "[^/]*"))
    return "".join(parts)


def _parents(path: str) -> Iterable[str]:
    while path := posixpath.dirname(path):
        yield path
