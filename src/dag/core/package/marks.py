"""The members and rivals of sets of packages, as bits: whether a set has a rival of its own.

Only what is a rival to any has a place, so a distribution has a few thousand places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_BITS = 1024
RIVAL = 1
MEMBER = 1 << _BITS
EVERYWHERE = 0
"""The place of what is a member of every set."""

Marks = dict[int, int]
"""The members and rivals of a set of packages, as far as they are a rival to any: blocks of bits.

A block has the rivals in its lower `_BITS` and the members above. Only blocks that have some are
there, because what is rival to each other is mostly close together.
"""
ODD: Marks = {0: RIVAL << EVERYWHERE}
"""A set that has a rival, whatever it is put together with."""


def mark(marks: Marks, places: Iterable[int], kind: int) -> None:
    """Add places to `marks`, as `RIVAL` or `MEMBER`."""
    for place in places:
        block, bit = divmod(place, _BITS)
        marks[block] = marks.get(block, 0) | kind << bit


def join(marks: Marks, others: Marks) -> None:
    """Add what others have to `marks`."""
    for block, bits in others.items():
        marks[block] = marks.get(block, 0) | bits


def without_rivals(rows: Iterable[Iterable[int]], marks: Mapping[int, Marks]) -> list[bool]:
    """Tell of each row of sets, by their numbers in `marks`, whether no member of any is a rival."""
    marked = frozenset(marks)
    uneven = {number for number, one in marks.items() if _are_rivals([one])}
    return [
        not row
        or (
            uneven.isdisjoint(row)
            # In half of all rows there is but one.
            and (len(row) == 1 or not _are_rivals(map(marks.__getitem__, row)))
        )
        for row in map(marked.intersection, rows)
    ]


def _are_rivals(several: Iterable[Marks]) -> bool:
    found: Marks = {0: MEMBER << EVERYWHERE}
    for marks in several:
        join(found, marks)
    return any(bits >> _BITS & bits for bits in found.values())
