"""The index of a store: which packages it publishes, signed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from dag.core.limits import PACKAGE_INDEX, PACKAGE_MEMBERS, PUBLIC_KEY
from dag.core.package.apk import index_archive, listed_packages
from dag.core.package.apkindex import INDEX_FILE
from dag.core.tar import BrokenArchive, TarReader
from dag.io.archives import DamagedStream, gunzip, limit_pieces, reader_of
from dag.io.store.local import Store
from dag.io.store.objects import Contest, Objects, StoredObject

_SIGNATURE = ".SIGN."


def write_index(
    store: Store,
    sign: Callable[[Path], None],
    say: Callable[[str], None],
    *,
    key: str,
    anew: bool = False,
) -> None:
    """Write the index of all packages that a store publishes; `sign` adds a signature to a file.

    It is replaced only if it is still the one that was read. Where it lists something else and others
    may have published meanwhile, what they have is read first, so whoever comes last lists it all. An
    index that lists just these stays as it is, with its signature, whoever made it, unless `anew`
    asks for a new one. `say` is told before an index is replaced that was signed with another key
    than `key`, the name of the public half.

    Raises:
        StoreError: the store fails, others were always faster, or it refuses without a reason.

    """
    name = f"{store.arch.apk}/{INDEX_FILE}"
    contest = Contest(store.files.address(name))
    while not _write(_Writing(store, name, sign, say, key, anew, contest)):
        pass


class _Writing(Struct, frozen=True):
    store: Store
    name: str
    sign: Callable[[Path], None]
    say: Callable[[str], None]
    key: str
    anew: bool
    contest: Contest


def _write(it: _Writing) -> bool:
    """Write the index unless it is as it should be; return False if somebody else did it just now."""
    store = it.store
    before = store.files.read(it.name, PACKAGE_INDEX)
    found = read_listing(before.data if before else b"", it.name)
    data = index_archive(store.published())
    is_same = found.packages == read_listing(data, INDEX_FILE).packages
    if store.is_shared and not is_same:
        store.read()
        data = index_archive(store.published())
        is_same = found.packages == read_listing(data, INDEX_FILE).packages
    if found.signer and not it.anew and is_same:
        return True
    memory = _memory(store.arch.apk)
    # Where others write, too, it may be theirs, with the same key.
    is_ours = before is None or store.is_shared or _is_ours(store, memory, before)
    if found.signer and (found.signer != it.key or not is_ours):
        it.say(
            f"{store.files.address(it.name)} is signed with the key {found.signer}, which this build "
            f"does not have, and is replaced by one that is signed with {it.key}; --signing-key names "
            "the key to sign with"
        )
    temporary = store.incoming / INDEX_FILE
    temporary.write_bytes(data)
    it.sign(temporary)
    data = temporary.read_bytes()
    temporary.unlink()
    if before and data == before.data:
        return True
    if not store.is_shared:
        store.objects.write(memory, hashlib.sha256(data).hexdigest().encode())
    if before is None and not store.is_shared:
        store.files.write(it.name, data)
        return True
    if before is None:
        is_written = store.files.create(it.name, data)
    else:
        is_written = store.files.replace(it.name, data, before.version)
    if not is_written:
        it.contest.lose(before)
    return is_written


class IndexListing(Struct, frozen=True):
    """What an index says of itself."""

    signer: str = ""
    """The name of the public key that verifies it; empty if it has no signature."""
    packages: frozenset[str] = frozenset()
    """The lines of each package that say which one it is."""

    def names(self) -> set[tuple[str, str]]:
        """Return the name and the version of each package."""
        each = ({line[:2]: line[2:] for line in one.split("\n")} for one in self.packages)
        return {(one.get("P:", ""), one.get("V:", "")) for one in each}


def read_listing(archive: bytes, where: str) -> IndexListing:
    """Return what an index says; one that cannot be read says nothing."""
    signer, packages = "", frozenset[str]()
    try:
        unpacked = reader_of(limit_pieces(gunzip([archive]), PACKAGE_INDEX, where))
        reader = TarReader(unpacked, PACKAGE_MEMBERS, where, joined=True)
        for member in reader:
            if member.name.startswith(_SIGNATURE):
                signer = member.name.removeprefix(_SIGNATURE).partition(".")[2]
            elif member.name == "APKINDEX" and member.is_file:
                text = b"".join(reader.blocks()).decode(errors="replace")
                packages = listed_packages(text)
    except (BrokenArchive, DamagedStream):
        return IndexListing()
    return IndexListing(signer, packages)


def _memory(arch: str) -> str:
    """Return the name of the object that says which index was written last."""
    return f"index-{arch}.sha256"


def is_remembered(state: Objects, arch: str, data: bytes) -> bool:
    """Return whether this index is the one that `dag` wrote last; of a shared store nobody knows."""
    found = state.read(_memory(arch), PUBLIC_KEY)
    return found is not None and found.data == hashlib.sha256(data).hexdigest().encode()


def _is_ours(store: Store, memory: str, index: StoredObject) -> bool:
    """Return whether `dag` wrote this index; an older one has left no word about that."""
    found = store.objects.read(memory, PUBLIC_KEY)
    return found is None or found.data == hashlib.sha256(index.data).hexdigest().encode()
