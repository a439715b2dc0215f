"""Files that differ from a commit, in submodules too, and seen through links that lead there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from dag.errors import UsageError
from dag.io.graph.git import run_git

_LINK, _SUBMODULE = "120000", "160000"
_MAX_LINKS = 8
"""How many links are followed one after the other, because they may lead in circles."""


def changed_files(directory: Path, since: str) -> list[str]:
    """Return the files that differ from the commit `since`, relative to `directory`.

    Changes that are not committed count, and so do new files that git does not ignore. A file that
    a link leads to is named by both names. A submodule whose old commit is not here is named as a
    whole.

    Raises:
        UsageError: there is no such commit, or no repository.
        InfrastructureError: there is no git.

    """
    top = run_git(directory, "rev-parse", "--show-toplevel").removesuffix("\n")
    changed = {
        f"{top}/{name}" for name in _changed_paths(Path(top), _resolve_commit(directory, since))
    }
    base = os.path.realpath(directory)
    return sorted(os.path.relpath(path, base) for path in _through_links(changed, _links(top)))


def files_at(directory: Path, since: str, names: Iterable[str]) -> dict[str, bytes]:
    """Return files of `directory` as they were at the commit `since`, without those it did not have.

    Raises:
        UsageError: there is no such commit, or no repository.
        InfrastructureError: there is no git.

    """
    wanted = list(names)
    where = f"{_resolve_commit(directory, since)}:{run_git(directory, 'rev-parse', '--show-prefix')}".rstrip(
        "\n"
    )
    process = subprocess.run(
        ["git", "-C", os.fspath(directory), "cat-file", "--batch"],
        input=b"".join(os.fsencode(f"{where}{name}\n") for name in wanted),
        capture_output=True,
        check=True,
    )
    found: dict[str, bytes] = {}
    rest = process.stdout
    for name in wanted:
        header, _, rest = rest.partition(b"\n")
        if not header.endswith(b" missing"):
            size = int(header.rpartition(b" ")[2])
            found[name], rest = rest[:size], rest[size + 1 :]
    return found


def _resolve_commit(directory: Path, since: str) -> str:
    try:
        words = ("rev-parse", "--verify", "--end-of-options", f"{since}^{{commit}}")
        return run_git(directory, *words).strip()
    except UsageError as error:
        if "single revision" not in error.message:
            raise
        raise UsageError(
            f"git knows no commit {since!r} in {directory}, which --since names",
            hint="name a branch, a tag or a commit; a shallow clone has only the newest",
        ) from error


def _changed_paths(top: Path, commit: str, *, inner: bool = False) -> set[str]:
    words = ("--no-renames", "--raw", "--no-abbrev", "--ignore-submodules=none", "-z")
    fields = run_git(top, "diff", *words, commit, "--", inner=inner).split("\0")
    found: set[str] = set()
    for about, name in zip(fields[::2], fields[1::2], strict=False):
        mode, now, old, _, _ = about.removeprefix(":").split(" ")
        inside: set[str] = set()
        if mode == now == _SUBMODULE and (top / name / ".git").exists():
            try:
                inside = {f"{name}/{one}" for one in _changed_paths(top / name, old, inner=True)}
            except UsageError:  # its old commit was never fetched
                inside = set()
        found |= inside or {name}
    new = run_git(top, "ls-files", "--others", "--exclude-standard", "-z", inner=inner)
    return found | {name for name in new.split("\0") if name}


def _links(top: str) -> dict[str, list[str]]:
    """Return the links that git knows, by the path that they lead to."""
    links: dict[str, list[str]] = {}
    for line in run_git(Path(top), "ls-files", "--stage", "-z").split("\0"):
        about, _, name = line.partition("\t")
        path = f"{top}/{name}"
        if about.startswith(_LINK) and os.path.islink(path):  # noqa: PTH114  # a distribution's
            target = os.path.normpath(os.path.join(path, "..", os.readlink(path)))  # noqa: PTH115, PTH118
            links.setdefault(target, []).append(path)
    return links


def _through_links(changed: set[str], links: Mapping[str, list[str]]) -> set[str]:
    found = set(changed)
    latest = found
    for _ in range(_MAX_LINKS if links else 0):
        latest = {name for path in latest for name in _other_names(path, links)} - found
        found |= latest
    return found


def _other_names(path: str, links: Mapping[str, list[str]]) -> Iterable[str]:
    above, rest = path, ""
    while above not in ("", "/"):
        yield from (f"{link}{rest}" for link in links.get(above, ()))
        above, _, last = above.rpartition("/")
        rest = f"/{last}{rest}"
