"""Versions as apk orders them: `1.2.3a_alpha1-r4`.

The rules are apk-tools' (src/version.c; https://wiki.alpinelinux.org/wiki/APKBUILD_Reference,
pkgver), with one liberty: text that apk would refuse still has a place, after what is valid.
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
# What has no suffix stands between `rc` and `cvs`.
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
    """Whether apk takes `version`."""
    return len(version) < 1000 and _VERSION.fullmatch(version) is not None


def key(version: str) -> Key:
    """A key by which versions sort as apk sorts them."""
    match = _VERSION.fullmatch(version) if len(version) < 1000 else None
    if match is None:
        return (1, tuple(_chunks(version)))
    first, *others = match["numbers"].split(".")
    numbers: list[tuple[int, int, str]] = [(1, int(first), "")]
    for number in others:
        # A part that begins with a zero is compared as a fraction: 1.01 < 1.1, 1.05 < 1.4.
        fraction = number.startswith("0") and len(number) > 1
        numbers.append((0, 0, number.rstrip("0")) if fraction else (1, int(number), ""))
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


def _chunks(text: str) -> list[tuple[int, int, str]]:
    return [
        (1, int(part), "") if part.isascii() and part.isdigit() else (0, 0, part)
        for part in re.split(r"([0-9]{1,100})", text)
        if part
    ]
