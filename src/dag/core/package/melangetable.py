"""The table `[melange]` of `dag.toml`: what a Makefile's call of melange comes to, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from dag.errors import UsageError

TABLE = "melange"


@dataclass(frozen=True, slots=True, kw_only=True)
class MelangeTable:
    """The keys of the table are named like the fields; None where it does not have a key.

    Paths are relative to the directory of the definitions, as melange is called there.
    """

    package_append: tuple[str, ...] | None = None
    vars_file: str | None = None
    """Empty for none."""
    pipeline_dirs: tuple[str, ...] | None = None
    build_option: tuple[str, ...] | None = None


NO_TABLE = MelangeTable()
KEYS = {one.name.replace("_", "-"): one.name for one in fields(MelangeTable)}
"""Key → field."""


def read_table(table: object, place: Callable[[str], str]) -> MelangeTable:
    """Return the table; `place` returns FILE:LINE of a key, for errors.

    Raises:
        UsageError: it is no table, has an unknown key, or a value has another type.

    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{place(TABLE)}: {TABLE} must be a table, like [{TABLE}]")
    known: dict[str, tuple[str, ...]] = {}
    vars_file: str | None = None
    for key, value in table.items():
        if key not in KEYS:
            from difflib import get_close_matches

            close = get_close_matches(key, KEYS, n=3)
            guess = f"did you mean {' or '.join(close)}?" if close else ""
            hint = guess or f"the keys of [{TABLE}] are {', '.join(KEYS)}"
            raise UsageError(f"{place(key)}: [{TABLE}] has no key {key!r}", hint=hint)
        if KEYS[key] == "vars_file":
            if not isinstance(value, str):
                raise UsageError(f'{place(key)}: {key} must be a string, like "common.vars"')
            vars_file = value
        else:
            items = [value] if isinstance(value, str) else value
            if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
                raise UsageError(f'{place(key)}: {key} must be a list of strings, like ["a", "b"]')
            known[KEYS[key]] = tuple(items)
    return MelangeTable(
        package_append=known.get("package_append"),
        vars_file=vars_file,
        pipeline_dirs=known.get("pipeline_dirs"),
        build_option=known.get("build_option"),
    )
