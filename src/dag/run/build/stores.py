"""Open a store for a build, read one without a lock, and tell how its latest run stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dag.core.arch import Arch
from dag.core.build import journal as lines
from dag.core.build.result import Result, make_result
from dag.errors import InfrastructureError, UsageError
from dag.io.build.journal import read_journal
from dag.io.build.processes import end_below
from dag.io.store.local import STATE, Store
from dag.io.store.lock import holder
from dag.io.store.ownkey import move_out
from dag.io.store.takeover import old_records, read_old_records, take_over


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The latest run of a store."""

    result: Result
    """The result as far as the run has come."""
    is_alive: bool


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


def read_status(root: Path, arch: Arch) -> RunStatus:
    """Read from a store's journal how its latest run stands, or how it ended.

    Raises:
        UsageError: there was no run, or its journal cannot be read.

    """
    store = Store(root, arch)
    try:
        run = lines.replay_run(read_journal(store.journal))
    except FileNotFoundError:
        raise UsageError(
            f"{root}: nothing was built here for {arch}", hint="--store names another store"
        ) from None
    except ValueError as error:
        raise UsageError(
            f"{store.journal} is damaged: {error}", hint="dag build writes it anew"
        ) from error
    # The journal of a run that died tells nothing of the time after its last event.
    is_alive = not run.scheduler.finished and holder(store.lock_path) == run.head.pid
    now = max(run.last, time.time() - run.head.began) if is_alive else run.last
    return RunStatus(make_result(run.head, run.scheduler, now), is_alive)
