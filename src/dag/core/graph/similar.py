"""Names that differ from a wanted one by a single slip of the fingers."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator

_SHORTEST = 5
"""Shorter names are alike by chance."""
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
        digits = _DIGITS.findall(wanted)
        half = len(wanted) // 2
        near = {*_with_prefix(self._forward, wanted[:half])}
        near |= {name[::-1] for name in _with_prefix(self._backward, wanted[half:][::-1])}
        likely = (
            name for name in near if _is_slip(name, wanted) and _DIGITS.findall(name) == digits
        )
        return min(likely, default=None)


def _is_slip(one: str, other: str) -> bool:
    """Return whether one letter is missing, too many or another one, or two changed places."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((n for n, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    return swapped or short[at + 1 :] == long[at + 1 :]


def _with_prefix(names: list[str], prefix: str) -> Iterator[str]:
    for place in range(bisect_left(names, prefix), len(names)):
        if not names[place].startswith(prefix):
            return
        yield names[place]
