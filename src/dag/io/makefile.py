"""The Makefile beside the definitions, found and read as make would find it."""

from __future__ import annotations

from pathlib import Path

from dag.core.makefile import FILE_NAMES, Makefile, read_makefile
from dag.errors import UsageError


def makefile_of(directory: Path, template: str | None) -> Makefile:
    """Read the rules of a directory's Makefile; `template` overrides what they say of targets.

    Raises:
        UsageError: there is none, it cannot be read, or the template is none.

    """
    for name in FILE_NAMES:
        path = directory / name
        if path.is_file():
            try:
                return read_makefile(path.read_text(encoding="utf-8", errors="replace"), template)
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror}") from error
    raise UsageError(
        f"{directory}: there is no Makefile beside the definitions",
        hint="the build runs `make`; see docs/makefiles.md for the rules that it needs",
    )
