"""`dag publish` on this machine: signs and publishes what a store has proven."""

from __future__ import annotations

from contextlib import suppress

from dag.core.arch import Arch
from dag.core.build.journal import results_of
from dag.core.build.options import BuildOptions
from dag.core.build.publishing import (
    ProvenUnits,
    Publishing,
    lacking_of,
    make_publishing,
    proven_in,
)
from dag.core.say import Say
from dag.core.store.layout import STATE
from dag.errors import UsageError
from dag.io.build.journal import read_journal
from dag.io.store.local import Store
from dag.io.store.places import StorePlace
from dag.run.build.apart import publish_or_ask
from dag.run.build.builder import this_machine
from dag.run.build.planning import plan_in
from dag.run.build.runs import read_status
from dag.run.build.session import Build
from dag.run.build.signing import given_key
from dag.run.build.storedruns import StoredRuns
from dag.run.build.stores import open_store, read_store, store_place


def publish_here(options: BuildOptions, say: Say, *, dry_run: bool) -> list[Publishing]:
    """Publish what the store has finished of a directory of definitions, for each architecture.

    Raises:
        UsageError: a definition is wrong, a name unknown, or the key cannot sign.
        Held: somebody else builds in this store, and `options.wait` is not set.
        InfrastructureError: the store cannot be used, or a program is missing.

    """
    given_key(options.key_file, for_melange=True)
    place, each = store_place(options, say), []
    for arch in options.arch:
        store = _opened(place, arch, options, say, dry_run=dry_run)
        try:
            build = plan_in(store, options, say, this_machine(options))
            each.append(_publish(store, finished_in(build), options, say, dry_run=dry_run))
        finally:
            store.close()
    return each


def publish_run_here(
    options: BuildOptions, runs: StoredRuns, words: str, say: Say, *, dry_run: bool
) -> list[Publishing]:
    """Publish what the run has proven whose id begins so, for each of its architectures.

    Raises:
        NoSuchRun: there is none, or more than one begins so.
        UsageError: the run's journal cannot be read, or the key cannot sign.
        Held: somebody else builds in this store, and `options.wait` is not set.
        InfrastructureError: the store cannot be used, or a program is missing.

    """
    given_key(options.key_file, for_melange=True)
    found, each = runs.find(words), []
    if found.lack:
        say(found.lack)
    for one in found.stores:
        store = _opened(runs.place, one.arch, options, say, dry_run=dry_run)
        try:
            proven = proven_by(one, found.id or words, store)
            each.append(_publish(store, proven, options, say, found.id, dry_run=dry_run))
        finally:
            store.close()
    return each


def finished_in(build: Build) -> ProvenUnits:
    """Return what the store has finished of the definitions of a plan."""
    return ProvenUnits(records=tuple(build.unpublished()), lacking=lacking_of(build.plan))


def published_of(store: Store, proven: ProvenUnits) -> set[tuple[str, str]]:
    """Return the names and versions of those units that a store publishes already."""
    return {(one.name, one.version) for one in proven.records if store.publishes(one)}


def proven_by(runs: Store, run: str, store: Store) -> ProvenUnits:
    """Return what a run has proven; `runs` has its files, and `store` its records.

    Raises:
        UsageError: there is no such run, or its journal cannot be read.

    """
    status = read_status(runs, run)
    results: dict[str, str] = {}
    kept = runs.runs.of(status.id)
    with suppress(OSError), kept.brought(kept.journal, kept.names.journal) as path:
        results = results_of(read_journal(path), of_plan=True)
    return proven_in(status.result, results, store.records_of)


def _opened(
    place: StorePlace, arch: Arch, options: BuildOptions, say: Say, *, dry_run: bool
) -> Store:
    if not place.exists():
        raise UsageError(
            f"{place.name} is no store: it has no {STATE}", hint="--store names another one"
        )
    if dry_run:
        return read_store(place, arch)
    return open_store(place, arch, wait=options.wait, say=say)


def _publish(
    store: Store,
    proven: ProvenUnits,
    options: BuildOptions,
    say: Say,
    run: str = "",
    *,
    dry_run: bool,
) -> Publishing:
    before, refused = published_of(store, proven), {}
    if not dry_run and proven.records:
        refused = publish_or_ask(store, proven.records, options, say, run)
    return make_publishing(store.arch.apk, proven, before, refused)
