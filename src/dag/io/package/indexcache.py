"""Indexes that were fetched before, by their URLs, each with the ETag that its server gave it.

They lie in the user's cache, outside of any checkout. What is read from there is judged as if it
had just come: signatures are verified again.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dag.core.limits import PACKAGE_INDEX, TooLarge
from dag.io import durable
from dag.io.files import read_bytes
from dag.io.usercache import forget_oldest, user_cache

_KEPT = 64
"""How many indexes are kept; each may have a few MiB."""
_MOST_ETAG = 1024


class _Head(msgspec.Struct, frozen=True):
    url: str
    etag: str
    sha256: str


@dataclass(frozen=True, slots=True)
class KeptIndex:
    """An index that was fetched before."""

    etag: str
    data: bytes


def load(url: str) -> KeptIndex | None:
    """Return what was kept for a URL; None if nothing was, or it is damaged."""
    try:
        head, newline, data = read_bytes(_place(url), PACKAGE_INDEX).partition(b"\n")
        found = msgspec.json.decode(head, type=_Head)
    except (OSError, TooLarge, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    whole = newline and found.url == url and hashlib.sha256(data).hexdigest() == found.sha256
    return KeptIndex(found.etag, data) if whole else None


def store(url: str, etag: str, data: bytes) -> None:
    """Keep an index; a cache that cannot be written is no failure."""
    if not etag.isascii() or not etag.isprintable() or len(etag) > _MOST_ETAG:
        return
    head = _Head(url, etag, hashlib.sha256(data).hexdigest())
    place = _place(url)
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        durable.write(place, msgspec.json.encode(head) + b"\n" + data, lasting=False)
        forget_oldest(place.parent, _KEPT)
    except OSError:
        return


def touch(url: str) -> None:
    """Note that what is kept for a URL was used."""
    try:
        os.utime(_place(url))
    except OSError:
        return


def _place(url: str) -> Path:
    return user_cache("indexes") / hashlib.sha256(url.encode()).hexdigest()
