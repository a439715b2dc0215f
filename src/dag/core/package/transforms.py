"""`var-transforms`: what RE2 finds in a text is replaced, as Go's regexp does it, within bounds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Protocol

from dag.core.package.substitutions import MAX_TEXT, SHOWN, Unresolvable, shown


class Effort:
    """A bound on what the replacements of one definition may cost together."""

    def __init__(self) -> None:
        self._left = _MAX_EFFORT

    def spend(self, steps: int) -> None:
        """Count steps: characters that are searched or written, and instructions of patterns.

        Raises:
            Unresolvable: these are too many.

        """
        self._left -= steps
        if self._left < 0:
            raise Unresolvable("the replacements of this definition are too much work")


_MAX_EFFORT = 1 << 22
"""A few seconds; the most that any of 3,401 definitions takes is a thousandth of that."""
_MATCH_EFFORT = 16
"""What a match costs beside its characters."""


def transform(text: str, match: str, replace: str, effort: Effort | None = None) -> str:
    r"""Return `text` with every `match` (RE2 syntax) replaced by `replace` (`$1`, `${name}`, `$$`).

    Raises:
        Unresolvable: `match` is not a regular expression, or that is too much work.

    """
    pattern = _pattern(match)
    effort = effort or Effort()
    data = text.encode()
    effort.spend(pattern.programsize + len(match) + len(data))
    template = _Template(replace, {*range(pattern.groups + 1), *pattern.groupindex})
    parts: list[bytes] = []
    end = size = 0
    last = -1
    for found in pattern.finditer(data):
        start = found.start()
        # Go ignores an empty match right after another match, and has none inside of a character.
        # RE2's Python binding does not, and has `\B` between the bytes of one.
        if start == found.end() and (start == last or data[start : start + 1] in _CONTINUATIONS):
            continue
        expanded = template.expand(found)
        parts += [data[end:start], expanded]
        end = last = found.end()
        size += len(expanded)
        if size > MAX_TEXT:
            raise Unresolvable(f"replacing {shown(match)} makes more than a megabyte of text")
        # To know one match, RE2 may have to look at all that follows it.
        effort.spend(_MATCH_EFFORT + len(expanded) + len(template.parts) + len(data) - end)
    return b"".join([*parts, data[end:]]).decode()


class _Regexp(Protocol):
    """A compiled pattern of RE2, whose Python binding has no types."""

    programsize: int
    groups: int
    groupindex: Mapping[bytes, int]

    def finditer(self, text: bytes) -> Iterator[re.Match[bytes]]: ...


def _pattern(match: str) -> _Regexp:
    if any(part == r"\C" for part in _REGEX_ESCAPES.findall(match)):
        # A single byte: what RE2 has and Go's regexp leaves out, https://pkg.go.dev/regexp/syntax.
        raise Unresolvable(f"match {shown(match)} is not a regular expression: invalid escape \\C")
    import re2  # which few definitions need

    try:
        pattern = _kept_pattern(match)
    except re2.error:  # it is wrong, or large, as few are
        try:
            pattern = _compiled(match, _MAX_PATTERN)
        except re2.error as error:
            reason = error.args[0].decode(errors="replace")[:SHOWN]
            what = f"match {shown(match)} is not a regular expression: {reason}"
            raise Unresolvable(what) from None
    if not all(name.isascii() for name in pattern.groupindex):
        # RE2 has them, Go's regexp has not.
        what = "the name of a group has another character than letters, digits and _"
        raise Unresolvable(f"match {shown(match)} is not a regular expression: {what}")
    return pattern


@lru_cache(maxsize=16)
def _kept_pattern(match: str) -> _Regexp:
    return _compiled(match, _KEPT_PATTERN)


def _compiled(match: str, memory: int) -> _Regexp:
    # As Go's regexp, this is RE2: the same language, in linear time whatever the pattern.
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    try:
        found: _Regexp = re2.compile(match.encode(), options)
        return found
    finally:
        re2.purge()  # it keeps the latest 128 patterns, however large they are


_KEPT_PATTERN = 8 << 20
"""Bytes that a pattern may take that is kept for the next definition: most have some in common."""
_MAX_PATTERN = 64 << 20
"""Bytes; RE2's own limit, of 8 MiB, refuses patterns that Go takes."""
_CONTINUATIONS = frozenset(bytes([byte]) for byte in range(0x80, 0xC0))
"""The bytes of UTF-8 with which no character begins."""
# Between \Q and \E everything is itself.
_REGEX_ESCAPES = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.", re.DOTALL)
# As regexp.Expand has it: https://pkg.go.dev/regexp#Regexp.Expand. `\w` would be wider.
_TEMPLATE = r"\$(?:(\$)|\{([\pL\p{Nd}_]+)\}|([\pL\p{Nd}_]+))"
_GROUP = re.compile(rb"0|[1-9][0-9]{0,8}")


class _Template:
    """What a match is replaced by, taken apart once for all matches."""

    def __init__(self, text: str, groups: Collection[int | bytes]) -> None:
        """Take the text and the pattern's groups; one that the pattern does not have is empty."""
        self.parts: list[tuple[bytes, int | bytes | None]] = []
        """Texts, each with the group that follows it."""
        data = text.encode()
        end = 0
        for found in _kept_pattern(_TEMPLATE).finditer(data):
            dollar, braced, plain = found.groups()
            name = braced or plain
            group = int(name) if name and _GROUP.fullmatch(name) else name
            before = data[end : found.start()] + (b"$" if dollar else b"")
            self.parts.append((before, group if group in groups else None))
            end = found.end()
        self.parts.append((data[end:], None))

    def expand(self, match: re.Match[bytes]) -> bytes:
        """Return the text for one match."""
        words: list[bytes] = []
        for text, group in self.parts:
            words.append(text)
            if group is not None:
                words.append(match[group] or b"")  # type: ignore[index]  # of bytes
        return b"".join(words)
