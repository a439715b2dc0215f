"""Numbers in words, as every report writes them."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""Colours, titles, movements: https://ecma-international.org/publications-and-standards/standards/ecma-48/"""


def seconds(value: float | None) -> str:
    """Write a duration: 0.4s, 12s, 3m05s, 2h07m."""
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.1f}s"
    minutes, rest = divmod(round(value), 60)
    if not minutes:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def count(number: int, noun: str) -> str:
    """Write a number of things: 1 package, 2 packages."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plain(text: str) -> str:
    """Write what a build has said so that it can do nothing to a terminal, nor to XML."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for c in _ESCAPE.sub("", text)
    )
