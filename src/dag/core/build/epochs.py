"""When the inputs of each unit were last touched: its SOURCE_DATE_EPOCH.

melange writes that time into every file. The time of the last commit at all would change every
package with every commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct


class Commit(Struct, frozen=True):
    """A commit, and the files that it touches."""

    time: int
    """When it was made, in seconds since 1970."""
    paths: tuple[str, ...]
    is_boundary: bool = False
    """It is the first one of a shallow clone, which seems to touch all that there is."""


class Touch(Struct, frozen=True):
    """The last commit that touched what is a unit's own."""

    time: int
    is_boundary: bool
    """The clone is shallow, so that it may have been an earlier one."""


def last_touches(
    commits: Iterable[Commit], watched: Mapping[str, Iterable[str]], common: Collection[str]
) -> dict[str, Touch]:
    """Return, by unit, the last of the commits that touched it; the latest commit comes first.

    `watched` are the paths of each unit, as `Parts.watched` has them, and `common` those of all. No
    more commits are asked for when the last unit is found. A unit that none touches is left out.
    """
    owners: dict[str, list[str]] = {}
    for unit, paths in watched.items():
        for path in paths:
            owners.setdefault(path, []).append(unit)
    everyone = frozenset(common)
    missing = {*watched}
    found: dict[str, Touch] = {}
    for commit in commits if missing else ():
        touched: set[str] = set()
        for path in commit.paths:
            if path in everyone:
                touched = missing.copy()
                break
            top, slash, _ = path.partition("/")
            touched.update(owners.get(path, ()))
            touched.update(owners.get(top + slash, ()))
        for unit in touched & missing:
            found[unit] = Touch(commit.time, commit.is_boundary)
        missing -= touched
        if not missing:
            break
    return found
