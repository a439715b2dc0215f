"""Slips in YAML that libyaml has words of its own for: what is wrong, where, and how it is mended."""

from __future__ import annotations

import re
from typing import NamedTuple

import yaml

from dag.core.package.problems import Broken

_HERE = "\0"
"""Stands before the character that libyaml complains of; YAML has no such character."""
_LONGEST = 500
"""How many characters of a line are looked at: some of the patterns take the square of that in time."""
UNDEFINED_ALIAS = "define the anchor before it, or put the text in quotes"


class _Slip(NamedTuple):
    said: str
    """A pattern for what libyaml says."""
    around: str
    """A pattern for the line above and the line itself."""
    what: str | None
    """What is wrong in plainer words; None if those of libyaml are plain."""
    fix: str
    where_it_began: bool = False
    """libyaml complains of what follows, and the slip is where that began which it was reading."""


_SPACE = "write a space after the colon"
_SLIPS = (
    _Slip(
        "cannot start any token|tab character",
        r"\0\t",
        "this is a tab, and YAML wants spaces here",
        "replace the tab with spaces",
    ),
    _Slip(
        "cannot start any token",
        r"\0(?P<it>[@`%])",
        "a text cannot begin with {it} unless it is in quotes",
        "put it in quotes",
    ),
    _Slip(
        "quoted scalar: found unexpected (end of stream|document indicator)",
        r"\0",
        "the quote that opens here is not closed",
        "close it",
        where_it_began=True,
    ),
    _Slip(
        "simple key: could not find expected ':'",
        r"\0(?P<it>[\w-]+):[^\s:/]",
        "no space follows the colon after {it}",
        _SPACE,
        where_it_began=True,
    ),
    _Slip(
        "mapping values are not allowed",
        r"\A( *)(?P<it>[\w-]+):[^\s:/].*\n\1\S.*\0",
        "no space follows the colon after {it} in the line above",
        _SPACE,
    ),
    _Slip(
        "mapping values are not allowed",
        r"\n *(- +)*[\w.-]+: +[^'\"\n]*\0:",
        "a second colon with a space after it is in the line",
        "put the value in quotes",
    ),
    _Slip(
        "mapping values are not allowed",
        r"\A( *)[\w.-]+: .*\n\1 +[\w.-]+\0:",
        "the line is indented more than the one above, which has its value already",
        "indent both alike",
    ),
    _Slip(
        "did not find expected key",
        r"\A( +)\S.*\n(?!\1) +\0",
        "the line is indented like none of those that it could belong to",
        "indent it like the other lines of its mapping or list",
    ),
    _Slip(
        "did not find expected key",
        r"'[ \t]*\0[^\s'\"]",
        "text follows the closing quote",
        "put the whole value in quotes, and write '' for a quote within it",
    ),
    _Slip(
        "did not find expected key",
        r'"[ \t]*\0[^\s\'"]',
        "text follows the closing quote",
        'put the whole value in quotes, and write \\" for a quote within it',
    ),
    _Slip(
        "did not find expected ',' or",
        r"\0",
        "the bracket that opens in line {line}, column {column} is not closed before this",
        "close it, or write a comma",
    ),
    _Slip("block sequence entries", r":[ \t]+\0-", None, "begin the list in the next line"),
    _Slip(
        "scanning an (alias|anchor)|(parsing|scanning) a tag|tag handle",
        r"\0",
        None,
        "put the text in quotes",
    ),
    _Slip("undefined alias", r"\0", None, UNDEFINED_ALIAS),
    _Slip(
        "block scalar: did not find expected comment or line break",
        r"\0",
        None,
        "begin the text in the next line, or put it in quotes",
    ),
    _Slip("unknown escape", r"\0", None, r"write \\ for a backslash, or use single quotes"),
)


def broken_yaml(error: yaml.MarkedYAMLError, data: bytes) -> Broken:
    """Return what is wrong with `data`, which cannot be read, in words that name the place and the remedy."""
    said = f"{error.context}: {error.problem}" if error.context else f"{error.problem}"
    problem, began = error.problem_mark or error.context_mark, error.context_mark
    if problem is None:
        return Broken(1, f"broken YAML: {said}", "correct it")
    lines = data.decode("utf-8-sig", errors="replace").splitlines()
    for slip in _SLIPS:
        if not re.search(slip.said, said):
            continue
        place = began if slip.where_it_began and began else problem
        if found := re.search(slip.around, _around(lines, place)):
            opening = began or place
            words = {"line": opening.line + 1, "column": opening.column + 1, **found.groupdict()}
            return _broken(place, slip.what.format_map(words) if slip.what else said, slip.fix)
    return _broken(problem, said, "correct it")


def _around(lines: list[str], mark: yaml.Mark) -> str:
    """Return the line above a mark and its own: none is above the first, and the end is behind the last.

    Of a place far to the right nothing is returned.
    """
    if mark.column > _LONGEST:
        return ""
    above, line, *_ = [*["", *lines][mark.line :], "", ""]
    after = line[mark.column : mark.column + _LONGEST]
    return f"{above[:_LONGEST]}\n{line[: mark.column]}{_HERE}{after}"


def _broken(mark: yaml.Mark, what: str, fix: str) -> Broken:
    return Broken(mark.line + 1, f"broken YAML in column {mark.column + 1}: {what}", fix)
