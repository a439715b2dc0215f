"""Versions as apk orders them: `1.2.3a_alpha1-r4`.

The rules are apk-tools' (src/version.c; https://wiki.alpinelinux.org/wiki/APKBUILD_Reference,
pkgver), with one liberty: text that apk would refuse still has a place, after all valid versions.
"""

from __future__ import annotations

import re

_VERSION = re.compile(
    r"(?P<numbers>[0-9]+(?:\.[0-9]+)*)"
    r"(?P<letter>[a-z]?)"
    r"(?P<suffixes>(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*)"
    r"(?P<hash>~[0-9a-f]+)?"
    r"(?:-r(?P<epoch>[0-9]+))?"
)
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)")
# A version without a suffix stands between `rc` and `cvs`.
_RANK = {
    "alpha": -4,
    "beta": -3,
    "pre": -2,
    "rc": -1,
    "cvs": 1,
    "svn": 2,
    "git": 3,
    "hg": 4,
    "p": 5,
}

Key = tuple[object, ...]


def is_valid(version: str) -> bool:
    """Return whether apk takes `version`."""
    return len(version) < 1000 and _VERSION.fullmatch(version) is not None


def key(version: str) -> Key:
    """Return a key by which versions sort as apk sorts them."""
    match = _VERSION.fullmatch(version) if len(version) < 1000 else None
    if match is None:
        return (1, tuple(_chunks(version)))
    first, *others = match["numbers"].split(".")
    numbers = [(1, int(first), 0), *map(_number, others)]
    suffixes = [
        (_RANK[name], int(number or 0)) for name, number in _SUFFIX.findall(match["suffixes"])
    ]
    return (
        0,
        tuple(numbers),
        match["letter"],
        (*suffixes, (0, 0)),
        match["hash"] or "",
        int(match["epoch"] or 0),
    )


def _number(text: str) -> tuple[int, int, int]:
    # A part that begins with zeros is less the more it has: 1.001 < 1.01 < 1.1, 1.0 < 1.06.
    digits = text.lstrip("0")
    zeros = len(text) - len(digits)
    if not zeros:
        return (1, int(digits), 0)
    return (0, -zeros, int(digits) if digits else -1)


def _chunks(text: str) -> list[tuple[int, int, str]]:
    return [
        (1, int(part), "") if part.isascii() and part.isdigit() else (0, 0, part)
        for part in re.split(r"([0-9]{1,100})", text)
        if part
    ]
