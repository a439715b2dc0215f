"""The git repositories in the cache, and the `gitconfig` that leads builds to them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dag.core.limits import GIT_STATE
from dag.core.sources.gitconfig import (
    CONFIG_NAME,
    ENV_FILE,
    ENV_NAME,
    REDIRECT,
    git_config,
    redirect_config,
)
from dag.core.sources.gitstate import STATE_FILE, VerifiedState, parse
from dag.io import durable
from dag.io.files import read_bytes
from dag.io.sources.cache import RemovedEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dag.core.sources.checkouts import GitRepository
    from dag.io.sources.cache import Cache

GIT = "git"
"""The directory of the cache in which repositories are."""


def write_config(cache: Cache, named: Iterable[GitRepository] | None = None) -> None:
    """Write `gitconfig` and `melange.env` for the repositories that are in the cache.

    git cannot tell the refs of a repository apart: builds get it from the cache if it has what all
    definitions want of it. `named` is that, if it is known, else what was known before.
    """
    wanted = {repository.path: repository for repository in named or ()}
    states = read_states(cache)
    for path, state in states.items():
        if named is not None:
            lacks = state.missing(wanted[path]) if path in wanted else frozenset()
            if lacks != state.lacks:
                state.lacks = lacks
                _note_lacks(cache, path, lacks)
        with suppress(FileNotFoundError):  # another process has just removed it
            file = cache.directory / GIT / f"{path}.git" / REDIRECT
            _write(file, redirect_config(path, state.bases_of(path)))
    _write(cache.directory / CONFIG_NAME, git_config(redirected_uris(states)))
    _write(cache.directory / ENV_NAME, ENV_FILE)


def redirected_uris(states: Mapping[str, VerifiedState]) -> dict[str, list[str]]:
    """Return which repositories builds get from the cache, and by which URIs."""
    return {path: state.bases_of(path) for path, state in states.items() if not state.lacks}


def _note_lacks(cache: Cache, path: str, lacks: frozenset[str]) -> None:
    held = cache.try_lock(path)
    if held is None:  # whoever has it notes what the definitions of its own want
        return
    with held:
        file = cache.directory / GIT / f"{path}.git" / STATE_FILE
        with suppress(OSError, ValueError):
            state = parse(read_bytes(file, GIT_STATE))
            state.lacks = lacks
            _write(file, state.text())


def read_states(cache: Cache) -> dict[str, VerifiedState]:
    """Return what each repository's `dag.json` says, by its path below `git/`, without `.git`.

    Those without a verified ref are left out.
    """
    found: dict[str, VerifiedState] = {}
    for path, directory in _repositories(cache):
        with suppress(OSError, ValueError):
            state = parse(read_bytes(directory / STATE_FILE, GIT_STATE))
            if state.refs:
                found[path] = state
    return dict(sorted(found.items()))


def prune_git(
    cache: Cache, wanted: Sequence[GitRepository], *, dry_run: bool = False
) -> list[RemovedEntry]:
    """Remove the repositories that neither `wanted` nor a submodule of theirs wants; return them."""
    known = read_states(cache)
    kept: set[str] = set()
    open_paths = [repository.path for repository in wanted if repository.wants]
    while open_paths:
        path = open_paths.pop()
        if path not in kept:
            kept.add(path)
            open_paths += [item.path for item in known[path].submodules] if path in known else []
    removed = []
    for path, directory in _repositories(cache):
        held = None if path in kept else cache.try_lock(path)
        if held is None:
            continue
        with held:
            removed.append(RemovedEntry(f"{GIT}/{path}.git", _size(directory)))
            if not dry_run:
                import shutil

                shutil.rmtree(directory)
    return sorted(removed, key=lambda one: one.name)


def _repositories(cache: Cache) -> Iterator[tuple[str, Path]]:
    """Return the directories of repositories, each with its path below `git/`, without `.git`."""
    root = cache.directory / GIT
    if root.is_symlink():
        return
    for parent, names, _ in os.walk(root):
        for name in [name for name in names if name.endswith(".git")]:
            names.remove(name)
            directory = Path(parent) / name
            if directory.is_symlink():
                continue
            yield directory.relative_to(root).as_posix().removesuffix(".git"), directory


def _size(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


def _write(path: Path, text: str) -> None:
    durable.write_changed(path, text.encode())
