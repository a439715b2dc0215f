"""The values of flags as the texts that a person would type, for a machine that was told no flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from dag.core.flags import Flag, Options, Shape, flags_of
from dag.errors import UsageError

T = TypeVar("T", bound=Options)


def texts_of(options: Options) -> dict[str, tuple[str, ...]]:
    """Return the values of flags that are not the defaults, by the names of their fields."""
    found = {}
    defaults = {name: one.default for name, one in options.__dataclass_fields__.items()}
    for one in flags_of(type(options)):
        value = getattr(options, one.field)
        if value != defaults[one.field]:
            several = one.flag.shape is Shape.SEVERAL
            found[one.field] = tuple(map(_text, value if several else (value,)))
    return found


def options_of(kind: type[T], texts: Mapping[str, Sequence[str]]) -> T:
    """Return the options that `texts_of` has written, each value read as on a command line.

    Raises:
        UsageError: there is no such flag, or it does not take such a value.

    """
    known = {one.field: one.flag for one in flags_of(kind)}
    if unknown := sorted(texts.keys() - known.keys()):
        raise UsageError(f"no flag is called {unknown[0]!r}")
    return kind(**{name: _value(name, known[name], given) for name, given in texts.items()})


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{Decimal(repr(value)):f}s"  # only durations are such
        case tuple():
            return ",".join(map(_text, value))
        case _:
            return str(value)


def _value(name: str, flag: Flag, texts: Sequence[str]) -> object:
    if flag.shape is Shape.SEVERAL:
        return tuple(_read(name, flag, text) for text in texts)
    if len(texts) != 1:
        raise UsageError(f"the flag {name} has {len(texts)} values in the place of one")
    (text,) = texts
    match flag.shape:
        case Shape.SWITCH if text in ("true", "false"):
            return text == "true"
        case Shape.COUNT if text.isdecimal() and len(text) < 4:
            return int(text)
        case Shape.ONE:
            return _read(name, flag, text)
        case _:
            raise UsageError(f"the flag {name} cannot be {text[:200]!r}")


def _read(name: str, flag: Flag, text: str) -> object:
    assert flag.kind is not None  # noqa: S101  # only switches and counts have none
    if flag.kind.choices and text not in flag.kind.choices:
        raise UsageError(f"the flag {name} cannot be {text[:200]!r}")
    return flag.kind.parse(text)
