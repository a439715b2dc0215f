"""What targets have in common. Each is a function of bytes that raises nothing.

A parser may refuse what it gets, by the errors that its docstring names. Anything else that it
raises, and whatever takes more memory than the fuzzer allows, is a bug.
"""

from __future__ import annotations

from collections.abc import Callable
from tempfile import NamedTemporaryFile
from typing import Any

from dag.core.arch import Arch

Target = Callable[[bytes], object]
TARGETS: dict[str, Target] = {}
"""All targets by their names, which are those of their corpora, too."""
ARCH = Arch.parse("x86_64")


def target(function: Target) -> Target:
    """Name a function as one that is fuzzed."""
    TARGETS[function.__name__] = function
    return function


def text_of(data: bytes) -> str:
    """Return bytes as a text, whatever they are."""
    return data.decode(errors="replace")


def parts_of(data: bytes, number: int) -> list[str]:
    """Return as many texts as are wanted; each ends with a zero."""
    parts = text_of(data).split("\0", number - 1)
    return parts + [""] * (number - len(parts))


def file_of(data: bytes) -> Any:
    """Return a file with these bytes; whoever calls this closes it."""
    file = NamedTemporaryFile()  # noqa: SIM115
    file.write(data)
    file.flush()
    return file
