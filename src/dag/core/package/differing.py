"""Tells which fields of two packages differ that should be one package."""

from __future__ import annotations

from collections.abc import Iterator

from dag.core.package.apk import FIELDS, Apk

_LONGEST = 60
"""How many characters of a value are told."""


def differing_fields(first: Apk, second: Apk) -> Iterator[str]:
    """Yield, in words, which fields of .PKGINFO are not the same in two packages.

    The hash of the data is not among them, because it says only that the data differs.
    """
    before, after = _fields(first), _fields(second)
    for key, letter in FIELDS.items():
        was, now = before.get(letter, ""), after.get(letter, "")
        if was != now:
            yield f"{key} is {_shown(was, now)} and then {_shown(now, was)}"


def _fields(apk: Apk) -> dict[str, str]:
    lines = (line.partition(":") for line in apk.stanza.split("\n"))
    return {letter: value for letter, _, value in lines}


def _shown(value: str, other: str) -> str:
    """Return a value, or those of its words that the other one has not, if it has many."""
    if len(value) > _LONGEST:
        known = set(other.split(" "))
        value = " ".join(word for word in value.split(" ") if word not in known) or value
    return repr(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…")
