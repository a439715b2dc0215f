"""Names that differ from a wanted one by a single slip of the fingers."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator

_SHORTEST = 5
"""Shorter names are alike by chance."""
_ALIKE = 0.85
_DIGITS = re.compile(r"[0-9]+")


class SimilarNames:
    """Names, sorted so that those with the beginning or the end of another one are found at once."""

    def __init__(self, names: Iterable[str]) -> None:
        self._forward = sorted(names)
        self._backward = sorted(name[::-1] for name in self._forward)

    def find(self, wanted: str) -> str | None:
        """Return the name that was most likely meant; names with other numbers never are."""
        if len(wanted) < _SHORTEST:
            return None
        from difflib import get_close_matches

        digits = _DIGITS.findall(wanted)
        half = len(wanted) // 2
        near = {*_with_prefix(self._forward, wanted[:half])}
        near |= {name[::-1] for name in _with_prefix(self._backward, wanted[half:][::-1])}
        likely = sorted(
            name
            for name in near
            if abs(len(name) - len(wanted)) <= 1 and _DIGITS.findall(name) == digits
        )
        return next(iter(get_close_matches(wanted, likely, n=1, cutoff=_ALIKE)), None)


def _with_prefix(names: list[str], prefix: str) -> Iterator[str]:
    for place in range(bisect_left(names, prefix), len(names)):
        if not names[place].startswith(prefix):
            return
        yield names[place]
