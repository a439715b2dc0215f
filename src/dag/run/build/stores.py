"""Open a store for a build, or read one without a lock."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from dag.core.arch import Arch
from dag.core.say import Say
from dag.core.store.buckets import Bucket
from dag.core.store.layout import STATE
from dag.errors import InfrastructureError, UsageError
from dag.io.build.processes import end_below
from dag.io.store.local import Store
from dag.io.store.ownkey import move_out, require_conditions
from dag.io.store.places import StorePlace, open_place
from dag.io.store.takeover import old_records, read_old_records, take_over


class NamesStore(Protocol):
    """The flags that say where a store is."""

    @property
    def directory(self) -> str:
        """Return the directory of the definitions."""

    @property
    def store(self) -> str | None:
        """Return the directory or the URL of the store, if one is given."""


def store_name(options: NamesStore) -> str:
    """Return what the user calls the store: a path or a URL."""
    return options.store or str(Path(options.directory) / "packages")


def store_place(options: NamesStore, say: Say) -> StorePlace:
    """Return the place of finished packages, where nothing need be yet.

    Raises:
        UsageError: it can be none.
        StoreError: the settings do not say how to reach it.

    """
    return _place_of(store_name(options), "--store", say)


def _place_of(name: str, flag: str, say: Say) -> StorePlace:
    if name.startswith("pvc://"):
        raise UsageError(
            f"{flag} {name} is a volume claim, which only pods reach",
            hint="`dag build --on kubernetes` builds there; name a directory or a bucket: gs://, s3://, az://",
        )
    if "://" in name:
        return open_place(Bucket.parse(name), say)
    root = Path(name)
    there = next((path for path in (root, *root.parents) if path.exists()), root)
    if there.exists() and not there.is_dir():
        raise UsageError(
            f"the store {root} can be no directory, because {there} is a file",
            hint=f"name another directory with {flag}",
        )
    return open_place(root, say)


def open_store(place: StorePlace, arch: Arch, *, wait: bool, say: Say) -> Store:
    """Open a store for writing: take its lock, and end and undo what a dead run has left.

    Raises:
        Held: somebody else builds there on this machine, and `wait` is false.
        InfrastructureError: the store cannot be used.

    """
    store = place.store(arch)
    store.prepare()
    store.lock.acquire(wait=wait, say=say)
    try:
        end_below(store.work)
        store.recover(say)
        take_over(store, say)
        move_out(store, say)
        if store.is_shared:
            require_conditions(store)
    except OSError as error:
        store.close()
        raise InfrastructureError(
            f"the store {store.name} cannot be read or written: {error.strerror or error}",
            hint="see to the disk, or name another place with --store",
        ) from error
    except BaseException:
        store.close()
        raise
    return store


def read_store(place: StorePlace, arch: Arch) -> Store:
    """Read a store without a lock and without changing it, which is enough for a dry run."""
    store = place.store(arch)
    store.read()
    read_old_records(store)
    return store


def read_others(names: Iterable[str], own: Store, say: Say) -> list[Store]:
    """Read other stores, for what is finished there; `own` is not one of them.

    Raises:
        UsageError: one of them is no store.

    """
    others = []
    for name in dict.fromkeys(names):
        place = _place_of(name, "--from", say)
        store = place.store(own.arch)
        if store.root == own.root:
            raise UsageError(f"--from {name} is the store itself: leave it out")
        if not place.exists():
            raise UsageError(
                f"--from {name} is no store: it has no {STATE}",
                hint="a store is what `dag build` has made: `packages` beside the definitions, if not --store",
            )
        if old_records(store):
            raise UsageError(
                f"--from {name} was written by an older dag",
                hint="`dag build` takes it over when it builds there the next time",
            )
        store.read()
        others.append(store)
    return others
