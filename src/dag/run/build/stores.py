"""Open a store for a build, or read one without a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from dag.core.arch import Arch
from dag.core.store.layout import STATE
from dag.errors import InfrastructureError, UsageError
from dag.io.build.processes import end_below
from dag.io.store.local import Store
from dag.io.store.ownkey import move_out
from dag.io.store.takeover import old_records, read_old_records, take_over


class NamesStore(Protocol):
    """The flags that say where a store is."""

    @property
    def directory(self) -> str:
        """Return the directory of the definitions."""

    @property
    def store(self) -> str | None:
        """Return the directory of the store, if one is given."""


def store_path(options: NamesStore) -> Path:
    """Return the directory of finished packages, which need not be there yet.

    Raises:
        UsageError: it can be none, because it or something above it is a file.

    """
    root = Path(options.store or Path(options.directory) / "packages")
    there = next((path for path in (root, *root.parents) if path.exists()), root)
    if there.exists() and not there.is_dir():
        raise UsageError(
            f"the store {root} can be no directory, because {there} is a file",
            hint="name another directory with --store",
        )
    return root


def open_store(root: Path, arch: Arch, *, wait: bool, say: Callable[[str], None]) -> Store:
    """Open a store for writing: take its lock, and end and undo what a dead run has left.

    Raises:
        Held: somebody else builds there, and `wait` is false.
        InfrastructureError: the store cannot be used.

    """
    store = Store(root, arch)
    store.prepare()
    store.lock.acquire(wait=wait, say=say)
    end_below(store.work)
    try:
        store.recover(say)
        take_over(store, say)
        move_out(store, say)
    except OSError as error:
        store.close()
        raise InfrastructureError(
            f"the store {root} cannot be read or written: {error.strerror or error}",
            hint="see to the disk, or name another directory with --store",
        ) from error
    return store


def read_store(root: Path, arch: Arch) -> Store:
    """Read a store without a lock and without changing it, which is enough for a dry run."""
    store = Store(root, arch)
    store.read()
    read_old_records(store)
    return store


def read_others(roots: Iterable[str], own: Store) -> list[Store]:
    """Read other stores, for what is finished there; `own` is not one of them.

    Raises:
        UsageError: one of them is no store.

    """
    others = []
    for root in dict.fromkeys(roots):
        store = Store(Path(root), own.arch)
        if store.root == own.root:
            raise UsageError(f"--from {root} is the store itself: leave it out")
        if not store.state.is_dir():
            raise UsageError(f"--from {root} is no store: it has no {STATE}")
        if old_records(store):
            raise UsageError(
                f"--from {root} was written by an older dag",
                hint="`dag build` takes it over when it builds there the next time",
            )
        store.read()
        others.append(store)
    return others
