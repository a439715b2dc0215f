"""Finds the first file in which the data of two packages differs.

Whoever built them may want to harm their reader; so `dag.io.package.prover` has another process do this.
"""

from __future__ import annotations

import hashlib
from itertools import zip_longest
from typing import BinaryIO

from dag.core.limits import PACKAGE_FILES
from dag.core.package.apk import BrokenPackage
from dag.core.tar import BrokenArchive, Member, TarReader
from dag.io.archives import DamagedStream, gunzip, reader_of
from dag.io.package.apk import data_of

_PARTS = {
    "kind": slice(156, 157),
    "mode": slice(100, 108),
    "owner": slice(108, 124),
    "time": slice(136, 148),
    "link": slice(157, 257),
    "name of its owner": slice(265, 329),
    "size": slice(124, 136),
}
"""The fields of a header, in the order in which they are told."""
_LONGEST = 200
"""How many characters of a name are told."""


def first_difference(first: BinaryIO, second: BinaryIO) -> str:
    """Return, in words, the first member in which the data of two packages differs; empty if none does.

    Raises:
        BrokenPackage: one is no package.
        TooLarge: one is over a limit.
        OSError: a file cannot be read.

    """
    try:
        archives = [_members(file) for file in (first, second)]
        for one, other in zip_longest(*archives):
            if one is None or other is None:
                only, when = (other, "second") if one is None else (one, "first")
                return f"{_name(only)} is only in the {when} one"
            if one.name != other.name:
                return f"{_name(one)} is where {_name(other)} is in the second one"
            parts = [
                name for name, part in _PARTS.items() if one.header[part] != other.header[part]
            ]
            if _content(archives[0]) != _content(archives[1]):
                parts.append("content")
            if parts:
                return f"{_name(one)} has another {' and another '.join(parts)}"
    except (BrokenArchive, DamagedStream) as error:
        raise BrokenPackage(f"its data is no archive: {error}") from error
    return ""


def _members(file: BinaryIO) -> TarReader:
    return TarReader(reader_of(gunzip(data_of(file))), PACKAGE_FILES, "its data")


def _content(archive: TarReader) -> bytes:
    digest = hashlib.sha256()
    for block in archive.blocks():
        digest.update(block)
    return digest.digest()


def _name(member: Member | None) -> str:
    name = member.name if member is not None else ""
    shown = name.encode(errors="backslashreplace").decode()
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
