"""What an attempt took of a machine, as the build script saw it in the end."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

USED = "used"
"""The file of the build script's state that says it."""
_TIMES = re.compile(r"[^\n]*\n([0-9]{1,9})m([0-9.,]{1,9})s ([0-9]{1,9})m([0-9.,]{1,9})s\n")
_BYTES = re.compile(r"[0-9]{1,18}(?=\n)")


class Usage(Struct, frozen=True):
    """What an attempt took."""

    cpu_seconds: Annotated[float, Meta(ge=0)]
    """The time that it had of processors, all of them together."""
    ram: Annotated[int, Meta(ge=0)] | None
    """The most bytes of memory that it had at once, files that the kernel kept for it included; None if
    nobody counted."""


def parse_usage(text: str) -> Usage | None:
    """Return what the build script wrote; None if it is something else.

    Its second line is of `times`: what the processes took that it had started, in their own code and in
    the kernel (https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#times). There
    is a third one if a control group told of memory.
    """
    found = _TIMES.match(text)
    if found is None:
        return None
    minutes, seconds = found.group(1, 3), found.group(2, 4)
    try:
        # Some shells write the seconds as the locale has them.
        took = sum(float(one.replace(",", ".")) for one in seconds)
    except ValueError:
        return None
    most = _BYTES.match(text, found.end())
    return Usage(60.0 * sum(map(int, minutes)) + took, int(most[0]) if most else None)
