"""Compares what a store offers as a repository with what it has published: its index, and its files.

A build writes the index when it ends. Until then that lists less than is published, which is no fault.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct

from dag.core.limits import PACKAGE_INDEX, PUBLIC_KEY, RECORD
from dag.core.package.apk import PublishedApk, index_stanza, listed_packages
from dag.core.package.apkindex import INDEX_FILE
from dag.core.package.signature import read_public_key
from dag.core.store.layout import PUBLISHED, STATE, record_name
from dag.core.store.publication import Publication, decode_publication
from dag.core.store.records import Record, decode_record
from dag.io.package.apkindex import Index
from dag.io.store import ownkey
from dag.io.store.index import is_remembered, read_listing
from dag.io.store.lock import holder
from dag.io.store.objects import read_each
from dag.io.store.places import StorePlace
from dag.report.words import some

_STRAY = (
    "is a package that was not published here; a build takes it in if a definition has its version, "
    "and else it can be removed"
)

Found = tuple[str, str]
"""The address of a file, and what is wrong with it, as the end of a sentence."""


def unlike_published(place: StorePlace) -> list[Found]:
    """Return what is wrong with indexes, and which packages lie there that were not published.

    What is only so while somebody builds into the store is left out.
    """
    found = []
    for arch in sorted(place.state.folders(PUBLISHED)):
        first = [*_look(place, arch)]
        if first and place.bucket is None and holder(place.root / STATE / "lock") is not None:
            continue  # the index is written when that build ends
        again = {*_look(place, arch)} if first else set()
        found += [one for one in first if one in again]
    return found


class _Published(Struct, frozen=True):
    """What is said to be published for one architecture."""

    stanzas: Mapping[str, str]
    """What an index has of each package, by its file."""
    files: Collection[str]
    """The names of the files, and of those that are being replaced."""
    is_known: bool
    """Whether all of it can be read."""
    age: float
    """The seconds since something was published last."""


def _look(place: StorePlace, arch: str) -> Iterator[Found]:
    # Files first: whatever comes then is said to be published before.
    files = [one.name.rpartition("/")[2] for one in place.files.list(arch)]
    published = _published(place, arch)
    for file in sorted(files):
        if file.endswith(".apk") and file not in published.files:
            yield (
                place.files.address(f"{arch}/{file}"),
                _STRAY,
            )
    name = f"{arch}/{INDEX_FILE}"
    address = place.files.address(name)
    facts = place.files.look(name)
    index = place.files.read(name, PACKAGE_INDEX)
    if facts is None or index is None:
        if published.stanzas:
            yield address, "is not there; the next build writes it"
        return
    listing = read_listing(index.data, name)
    if not (listing.signer or listing.packages):
        yield address, "is no index that can be read; the next build writes it anew"
        return
    is_ours = is_remembered(place.state, arch, index.data)  # signed then, whoever has that key now
    why = None if is_ours else _distrust(place, address, index.data, listing.signer)
    if why:
        yield address, f"{why}; if you remove it, the next build writes it anew"
    is_older = place.bucket is not None and published.age < facts.age
    if published.is_known and not is_older:
        yield from ((address, what) for what in _differences(listing.packages, published))


def _published(place: StorePlace, arch: str) -> _Published:
    ages = {one.name: one.age for one in place.state.list(f"{PUBLISHED}/{arch}")}
    found = [one for _, one in read_each(place.state, ages, RECORD, decode_publication)]
    publications = [one for one in found if isinstance(one, Publication)]
    names = {record_name(arch, one): one for one in publications if one.sizes}
    records = dict(read_each(place.state, names, RECORD, decode_record))
    stanzas: dict[str, str] = {}
    for name, publication in names.items():
        record = records[name]
        for file, apk in record.files.items() if isinstance(record, Record) else ():
            size = publication.sizes.get(file, apk.size)
            (stanzas[file],) = listed_packages(index_stanza(PublishedApk(apk, size)))
    return _Published(
        stanzas=stanzas,
        files={file for one in publications for file in (*one.sizes, *one.leaving)},
        is_known=all(isinstance(one, Publication | None) for one in found)
        and all(isinstance(one, Record) for one in records.values()),
        age=min(ages.values(), default=0.0),
    )


def _distrust(place: StorePlace, address: str, data: bytes, signer: str) -> str | None:
    """Return why nobody should take an index; only the store's own key can be looked at."""
    if not signer:
        return "is not signed"
    own = place.state.read(ownkey.PUBLIC_OBJECT, PUBLIC_KEY)
    key = read_public_key(own.data) if own else None
    name = f"{ownkey.KEY_NAME}.pub"
    if key is None or signer != name:
        return None
    return Index(address, place.name, data).distrust({name: key})


def _differences(listed: Collection[str], published: _Published) -> Iterator[str]:
    there = {_file(stanza): stanza for stanza in listed}
    wanted = published.stanzas
    lacking = sorted(wanted.keys() - there.keys())
    strange = sorted(there.keys() - wanted.keys())
    others = sorted(file for file in there.keys() & wanted if there[file] != wanted[file])
    anew = "; the next build writes it anew"
    if lacking:
        yield f"does not list {some(lacking)}, which the store has published{anew}"
    if strange:
        yield f"lists {some(strange)}, which the store has not published{anew}"
    if others:
        yield f"lists {some(others)} otherwise than it was published{anew}"


def _file(stanza: str) -> str:
    """Return the name of the file of a package in an index."""
    lines = {line[:2]: line[2:] for line in stanza.split("\n")}
    return f"{lines.get('P:', '')}-{lines.get('V:', '')}.apk"
