"""The names that a broken definition may give, as far as its text tells."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dag.core.package.model import Package

_FIELD = re.compile(r"""(?:^|[\s{,-])name:[ \t]*["']?(?P<name>[^\s"',}#]+(?:\}\}[^\s"',}#]*)*)""")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9+_.:-]*")
_OWN = "${{package.name}}"


def names_in_text(data: bytes, file: str, package: Package | None = None) -> tuple[str, ...]:
    """Return the names of the packages in a definition's text, and those that `package` has.

    They may be more than those that it really gives, so that no need of it is taken for a need of
    something else. Where the text tells none, it is the name of the file.
    """
    names = set(_written_names(data.decode(errors="replace")))
    if package is not None:
        names |= package.given
    found = sorted(name for name in names if _NAME.fullmatch(name) and len(name) <= 200)
    return tuple(found) or (file.removesuffix(".yaml"),)


def may_define(data: bytes) -> bool:
    """Return whether a text looks like a definition: a mapping `package` with a name."""
    return b"package" in data and any(_written_names(data.decode(errors="replace"), own_only=True))


def _written_names(text: str, *, own_only: bool = False) -> Iterator[str]:
    section = own = ""
    for line in text.splitlines():
        if line[:1].isalpha():
            section = line.partition(":")[0]
        if section == "package" and not own:
            if found := _FIELD.search(line):
                own = found["name"]
                yield own
                if own_only:
                    return
        elif section == "subpackages":
            for found in _FIELD.finditer(line):
                yield found["name"].replace(_OWN, own)
