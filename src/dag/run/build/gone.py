"""Forget the units of a store whose definitions are gone: their records, and what is published."""

from __future__ import annotations

from collections.abc import Collection

from dag.core.arch import Arch
from dag.core.build.storeoptions import PruneStoreOptions
from dag.core.say import Say
from dag.core.store.layout import PUBLISHED, RECORDS, read_record_name
from dag.errors import UsageError
from dag.io.store.objects import Objects
from dag.io.store.ownkey import own_key
from dag.io.store.places import StorePlace
from dag.report.words import some
from dag.run.build.signing import given_key, publish, require_published
from dag.run.build.stores import open_store
from dag.run.build.tools import Tools
from dag.run.graph.definitions import read_definitions


def forget_gone(options: PruneStoreOptions, place: StorePlace, say: Say) -> tuple[str, ...]:
    """Forget every unit that no definition of the directory has the name of; return the names.

    The index lists their packages no more. Their blobs go when nobody has used them for a while.
    What another build publishes just now stays. With `options.dry_run` nothing is changed.

    Raises:
        UsageError: a definition is broken, so that nobody can tell what is gone, or all would go.
        Held: somebody builds into the store.
        InfrastructureError: the store cannot be written, or the index not be signed.

    """
    arches = sorted(place.state.folders(RECORDS))
    gone = {arch: _gone(options, place.state, Arch.parse(arch)) for arch in arches}
    if not options.dry_run:
        gone = {arch: _forget(options, place, arch, names, say) for arch, names in gone.items()}
    return tuple(sorted(set[str]().union(*gone.values())))


def _gone(options: PruneStoreOptions, objects: Objects, arch: Arch) -> set[str]:
    found = read_definitions(options, options.directory, arch)
    if found.broken:
        raise UsageError(
            "nothing is forgotten, because nobody can tell what the broken definitions define: "
            + some([one.file for one in found.broken]),
            hint="mend or remove them first",
        )
    records = map(read_record_name, objects.names(f"{RECORDS}/{arch.apk}"))
    there = {one.name for one in records if one is not None}
    there |= {one.split("/")[2] for one in objects.names(f"{PUBLISHED}/{arch.apk}")}
    gone = there - {package.name for package in found.packages}
    if gone == there and gone:
        raise UsageError(
            f"{options.directory} defines nothing of what the store has for {arch.apk}",
            hint="--dir names the directory of the definitions",
        )
    return gone


def _forget(
    options: PruneStoreOptions, place: StorePlace, arch: str, names: Collection[str], say: Say
) -> set[str]:
    """Forget these units, write the index without them, and return the names of those that went."""
    given = given_key(options.signing_key, for_melange=True)
    store = open_store(place, Arch.parse(arch), wait=False, say=say)
    try:
        if names:  # nothing goes, unless an index without it can be signed
            tools = Tools.to_sign()
            if given is None:
                own_key(store, tools.make_key)
        forgotten = {name for name in sorted(names) if store.forget(name)}
        for name in sorted(set(names) - forgotten):
            say(f"{name} stays, because another build publishes it just now")
        # Without any names, too: whoever was killed may have left an index that lists them still.
        require_published(publish(store, (), given, say))
        return forgotten
    finally:
        store.close()
