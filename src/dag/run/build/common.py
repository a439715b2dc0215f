"""Which files of a directory all units have in common."""

from __future__ import annotations

from collections.abc import Sequence

from dag.core.build.named import NamedPaths
from dag.core.image.archive import Entry, File
from dag.core.limits import MAKEFILE
from dag.core.package.makefile import FILE_NAMES
from dag.errors import UsageError


def common_entries(others: Sequence[Entry], given: Sequence[str]) -> list[Entry]:
    """Return those of the entries that belong to no package that all have: what the Makefile names.

    So has what such a file names in turn; and `given` are files, directories or patterns besides.
    Pipelines are not among the entries: they count for those packages alone that use them.

    Raises:
        UsageError: one of `given` names nothing.

    """
    by_path = {entry.path: entry for entry in others}
    named = NamedPaths(by_path)

    def read(path: str) -> str | None:
        entry = by_path[path]
        if not isinstance(entry, File) or entry.size > MAKEFILE.most:
            return None
        data = b"".join(entry.read())
        return None if b"\0" in data else data.decode(errors="replace")

    wanted = {name for name in FILE_NAMES if name in by_path}
    # What is beside pipelines may be for them.
    wanted.update(path for path in by_path if path.startswith("pipelines/"))
    for word in given:
        found = named.matching(word)
        if not found:
            what = "no file of the directory that belongs to no package is called so"
            if word.startswith("/") or ".." in word.split("/"):
                what = "it is not a path within the directory"
            raise UsageError(
                f"{word} is to be common to all units, and {what}",
                hint="name files, directories or patterns, relative to the directory of --dir, that "
                "belong to no package",
            )
        wanted.update(found)
    paths = named.closure(wanted, read)
    return [entry for path, entry in by_path.items() if path in paths]
