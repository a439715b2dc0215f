"""Assignments for make's command line, as people write them: `NAME=VALUE`."""

from __future__ import annotations

import re

from dag.errors import UsageError

_VARIABLE = re.compile(r"[^\s:#=+?!$]+")


def split_assignment(text: str) -> tuple[str, str]:
    """Split `NAME=VALUE`.

    Raises:
        UsageError: there is no `=`, make would not take NAME for a variable, or VALUE has a line
            break.

    """
    name, equals, value = text.partition("=")
    if not equals or not _VARIABLE.fullmatch(name):
        raise UsageError(f"{text!r} is not an assignment", hint="write it like NAME=VALUE")
    if "\n" in value or "\0" in value:
        raise UsageError(f"the value of {name} has a line break, which make cannot take")
    return name, value
