"""Decoding of JSON that may be anybody's: typed, limited in size, and wrong in whole sentences."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

_T = TypeVar("_T")

# The messages of msgspec: https://jcristharif.com/msgspec/usage.html#validation
_UNEXPECTED = re.compile(r"Expected (?P<wanted>.+), got (?P<found>.+)")
_MISSING = re.compile(r"Object missing required field (?P<field>.+)")
_PLACE = re.compile(r"(?P<what>.+) - at `\$(?:\.(?P<place>.+)|(?P<item>\[.+))?`", re.DOTALL)


class Undecodable(ValueError):
    """Bytes that are not what they should be; the message says why, but not which file has them."""


class NotJson(Undecodable):
    """Bytes that are not JSON at all, such as half of a file."""


def decode(decoder: msgspec.json.Decoder[_T], data: bytes, *, limit: int) -> _T:
    """Return what `decoder` makes of `data`, if that has at most `limit` bytes.

    Raises:
        NotJson: this is not JSON.
        Undecodable: this has another shape, is nested too deeply, or is too long.

    """
    if len(data) > limit:
        raise Undecodable(f"it is longer than {limit:,} bytes")
    try:
        return decoder.decode(data)
    except RecursionError:
        raise Undecodable("it is nested too deeply") from None
    except msgspec.ValidationError as error:
        raise Undecodable(_sentence(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(f"it is not JSON: {error}") from None


def _sentence(message: str) -> str:
    """Return a message of msgspec in words that need no knowledge of it."""
    placed = _PLACE.fullmatch(message)
    what = placed["what"] if placed else message
    place = (placed["place"] or placed["item"] if placed else None) or "the whole"
    if unexpected := _UNEXPECTED.fullmatch(what):
        return f"{place} is {unexpected['found']}, but should be {unexpected['wanted']}"
    if missing := _MISSING.fullmatch(what):
        return f"{place} lacks the field {missing['field']}"
    return f"{place} is wrong: {what[:1].lower()}{what[1:]}"
